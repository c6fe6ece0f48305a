package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/templates"
)

const busyDetail = "The service is busy; try again shortly."

// rank returns the lane of an audience, and whether it has one: what is served
// from memory costs no more than a refusal, and a probe is never refused.
func (rt *route) rank() (rank int, ok bool) {
	switch {
	case rt.published:
		return 0, false
	case rt.to == applications || rt.to == bearers:
		return ranksPrograms, true
	case rt.to == operators:
		return ranksOperators, true
	case rt.to == people:
		return ranksPages, true
	default:
		return 0, false
	}
}

// admitted lets a request in, or sends it away with 503 and Retry-After before any
// work was done for it: no log line, no reference and no row of the trail each, but
// a metric, and a line when it begins and another with the total. It fails closed:
// nothing was consumed.
func (m *Mux) admitted(rt *route, next Handler) Handler {
	rank, _ := rt.rank()
	turnAway := m.turnAway(rt)
	return func(w http.ResponseWriter, r *http.Request) error {
		if !m.gate.enter(r.Context(), rank) {
			return turnAway(w, r)
		}
		rec := recordFrom(r.Context())
		rec.gate, rec.rank, rec.began = m.gate, rank, m.cfg.Now()
		defer func() {
			rec.mu.Lock()
			took := m.cfg.Now().Sub(rec.began) - rec.away
			failed := rec.fault != nil && (rec.fault.Kind == fault.Unavailable || rec.fault.Kind == fault.Internal)
			rec.mu.Unlock()
			m.gate.leave(rank, took, !failed)
		}()
		return next(w, r)
	}
}

// counted bounds the requests of files, which are served from memory: they hold a
// place only while the network takes what was answered.
func (m *Mux) counted(rt *route, next Handler) Handler {
	limit := m.cfg.Limits.Static
	if limit <= 0 {
		limit = 1024
	}
	turnAway := m.turnAway(rt)
	return func(w http.ResponseWriter, r *http.Request) error {
		defer m.files.Add(-1)
		if m.files.Add(1) > limit {
			return turnAway(w, r)
		}
		return next(w, r)
	}
}

// turnAway returns the answer to who is one too many. Its bytes are made once.
func (m *Mux) turnAway(rt *route) Handler {
	busy := &fault.Error{Kind: fault.Unavailable, Code: "temporarily_unavailable", Detail: busyDetail}
	contentType, body := "application/problem+json", problemBytes(busy)
	if rt.to == applications || rt.to == bearers {
		contentType, body = "application/json", oauthBytes(busy)
	}
	var pages map[templates.Locale][]byte
	if m.cfg.Pages != nil && (rt.to == people || rt.to == files) {
		pages = m.busyPages()
	}
	class := rt.class()
	return func(w http.ResponseWriter, r *http.Request) error {
		m.cfg.Meter.Shed(class)
		if _, began := m.shed.add(kind{rule: class}, m.cfg.Now(), 1, Refusal{Fault: busy}); began {
			m.logShed(r.Context(), class, 1)
		}
		recordFrom(r.Context()).quiet = true
		h := w.Header()
		h["Retry-After"] = []string{"1"}
		h["Cache-Control"] = []string{"no-store"}
		if len(pages) > 0 && (rt.to == people || strings.Contains(r.Header.Get("Accept"), "text/html")) {
			if page, ok := pages[m.cfg.Pages.Locale(r.Header.Get("Accept-Language"))]; ok {
				send(w, http.StatusServiceUnavailable, "text/html; charset=utf-8", page)
				return nil
			}
		}
		send(w, http.StatusServiceUnavailable, contentType, body)
		return nil
	}
}

// class names the lane of rt for the metric and the log.
func (rt *route) class() string {
	switch rt.to {
	case applications, bearers:
		return "applications"
	case operators:
		return "operators"
	case people:
		return "pages"
	default:
		return "files"
	}
}

// busyPages renders, for each language, the page of who is sent away.
func (m *Mux) busyPages() map[templates.Locale][]byte {
	pages := map[templates.Locale][]byte{}
	for _, locale := range m.cfg.Pages.Locales() {
		var b bytes.Buffer
		err := m.cfg.Pages.Render(&b, templates.Problem{
			Locale: templates.Locale(locale), Status: http.StatusServiceUnavailable, Title: http.StatusText(http.StatusServiceUnavailable), Detail: busyDetail,
		})
		if err == nil { // else the problem document serves as well
			pages[templates.Locale(locale)] = bytes.Clone(m.below(b.Bytes()))
		}
	}
	return pages
}

func oauthBytes(f *fault.Error) []byte {
	b, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{oauthCode(f), Description(f.Detail)}) // a struct of strings always encodes
	return append(b, '\n')
}

func problemBytes(f *fault.Error) []byte {
	b, _ := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"about:blank", http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable, f.Detail, f.Code}) // strings always encode
	return append(b, '\n')
}
