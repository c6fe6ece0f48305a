package oidc

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
)

const pathRegister = "/oidc/register"

// Routes mounts the registration endpoint and what each application has below it.
// Any origin may register, because applications that run in a browser do; no page of
// another site has any business with what is registered already.
func (r *Registrar) Routes(m *web.Mux) {
	m.Resource("POST "+pathRegister, r.counted("register", r.register), web.AnyOrigin)
	m.Resource("GET "+pathRegister+"/{client}", r.counted("read", r.read), nil)
	m.Resource("PUT "+pathRegister+"/{client}", r.counted("update", r.replace), nil)
	m.Resource("DELETE "+pathRegister+"/{client}", r.counted("delete", r.remove), nil)
}

// counted counts what h did.
func (r *Registrar) counted(action string, h web.Handler) web.Handler {
	return func(w http.ResponseWriter, q *http.Request) error {
		err := h(w, q)
		result := "ok"
		switch {
		case err == nil:
		case fault.Of(err).Kind == fault.Internal, fault.Of(err).Kind == fault.Unavailable:
			result = "error"
		default:
			result = "refused"
		}
		r.cfg.Meter.Registration(action, result)
		return err
	}
}

func (r *Registrar) register(w http.ResponseWriter, q *http.Request) error {
	if !r.cfg.Mode.Advertised() {
		return closed()
	}
	initial, body, err := r.opened(w, q, r.cfg.Rules.Register)
	if err != nil {
		return err
	}
	out, err := r.Register(q.Context(), initial, body)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, out)
}

func (r *Registrar) read(w http.ResponseWriter, q *http.Request) error {
	token, err := r.presented(q, r.cfg.Rules.Registration)
	if err != nil {
		return err
	}
	out, err := r.Read(q.Context(), q.PathValue("client"), token)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, out)
}

func (r *Registrar) replace(w http.ResponseWriter, q *http.Request) error {
	token, body, err := r.opened(w, q, r.cfg.Rules.Registration)
	if err != nil {
		return err
	}
	out, err := r.Replace(q.Context(), q.PathValue("client"), token, body)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, out)
}

func (r *Registrar) remove(w http.ResponseWriter, q *http.Request) error {
	token, err := r.presented(q, r.cfg.Rules.Registration)
	if err != nil {
		return err
	}
	if err := r.Remove(q.Context(), q.PathValue("client"), token); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// presented counts a request against its address and returns the token it brought,
// "" without one.
func (r *Registrar) presented(q *http.Request, rule ratelimit.Rule) (string, error) {
	wait, err := r.cfg.Limits.Advance(q.Context(), web.InfoFrom(q.Context()).Bucket(), rule)
	if err != nil {
		return "", fault.Down("limiter", err)
	}
	if wait > 0 {
		r.cfg.Meter.RateLimited(rule.Name)
		return "", &fault.Error{
			Kind: fault.TooMany, Code: "too_many_requests", Rule: "registration_limit", RetryAfter: wait,
			Detail: "Too many registrations came from your network; wait a while.",
		}
	}
	return authorization(q)
}

// opened is presented for a request with a body.
func (r *Registrar) opened(w http.ResponseWriter, q *http.Request, rule ratelimit.Rule) (token string, body []byte, err error) {
	if token, err = r.presented(q, rule); err != nil {
		return "", nil, err
	}
	if mt, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return "", nil, invalid("registration_content_type", "Send the registration as application/json.")
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, q.Body, maxRegistration))
	if errors.As(err, new(*http.MaxBytesError)) {
		return "", nil, &fault.Error{Kind: fault.TooLarge, Code: "invalid_request", Rule: "registration_size", Detail: "A registration has 64 KiB at most."}
	}
	if err != nil {
		return "", nil, &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Rule: "registration_read", Detail: "The body ended too early.", Err: err}
	}
	return token, body, nil
}
