package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

// A healthCheck asks one thing the program leans on whether it answers. Without a
// required one the program is not ready; without another it is degraded, and
// still does its work.
type healthCheck struct {
	Name     string
	Required bool
	Probe    func(ctx context.Context) error
}

const (
	healthTimeout = 2 * time.Second // for all checks together
	healthFresh   = time.Second     // strangers may ask often; the database hears it once
)

// health tells those who watch whether the program lives and may be sent work.
type health struct {
	Checks []healthCheck
	Now    func() time.Time

	draining atomic.Bool
	mu       sync.Mutex
	at       time.Time
	last     healthReport
}

// A healthReport is what the management listener shows.
type healthReport struct {
	Status string            `json:"status"` // ok, degraded, unavailable or draining
	Checks map[string]string `json:"checks"` // ok, or what went wrong
}

// Routes mounts the public probes: a word, never a detail.
func (h *health) Routes(m *web.Mux) {
	m.Probe("GET /healthz", h.live)
	m.Probe("GET /readyz", h.ready)
}

// ManagementRoutes mounts the probes of the management listener, with the details.
func (h *health) ManagementRoutes(m *web.Mux) {
	m.Probe("GET /healthz", h.live)
	m.Probe("GET /readyz", h.details)
}

// drain turns readiness off for good, so that balancers look elsewhere.
func (h *health) drain() { h.draining.Store(true) }

type healthWord struct {
	Status string `json:"status"`
}

func (h *health) live(w http.ResponseWriter, _ *http.Request) error {
	return web.JSON(w, http.StatusOK, healthWord{"ok"})
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) error {
	report := h.report(r.Context())
	return web.JSON(w, report.code(), healthWord{report.Status})
}

func (h *health) details(w http.ResponseWriter, r *http.Request) error {
	report := h.report(r.Context())
	return web.JSON(w, report.code(), report)
}

func (r healthReport) code() int {
	if r.Status == "ok" || r.Status == "degraded" {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// report asks every check, or answers from memory if it asked within a second.
func (h *health) report(ctx context.Context) healthReport {
	if h.draining.Load() {
		return healthReport{Status: "draining", Checks: map[string]string{}}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.Now(); h.last.Status == "" || now.Sub(h.at) >= healthFresh {
		h.last, h.at = h.ask(context.WithoutCancel(ctx)), now // one caller's hang-up is not another's answer
	}
	return h.last
}

func (h *health) ask(ctx context.Context) healthReport {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	errs := make([]error, len(h.Checks))
	var wg sync.WaitGroup
	for i, c := range h.Checks {
		wg.Go(func() { errs[i] = c.Probe(ctx) })
	}
	wg.Wait()
	report := healthReport{Status: "ok", Checks: map[string]string{}}
	for i, c := range h.Checks {
		report.Checks[c.Name] = "ok"
		if errs[i] == nil {
			continue
		}
		report.Checks[c.Name] = errs[i].Error()
		switch {
		case c.Required:
			report.Status = "unavailable"
		case report.Status == "ok":
			report.Status = "degraded"
		}
	}
	return report
}
