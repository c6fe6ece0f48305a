package meter

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	namespace = "gatekeeper"
	other     = "other"
)

// A Meter holds every metric of the program. The zero pointer measures nothing.
type Meter struct{ r *registry }

// registry is what a Meter that measures holds.
type registry struct {
	registry  *prometheus.Registry
	http      children[httpLabels, prometheus.Observer]
	issued    children[[2]string, prometheus.Counter]
	errors    children[[2]string, prometheus.Counter]
	logins    children[[2]string, prometheus.Counter]
	inspected children[inspectLabels, prometheus.Counter]
	replays   children[string, prometheus.Counter]
	limited   children[string, prometheus.Counter]
	applied   children[[2]string, prometheus.Counter]
	logouts   children[string, prometheus.Counter]
	shed      children[string, prometheus.Counter]
	devices   children[string, prometheus.Counter]
	hash      prometheus.Histogram
	waiting   prometheus.Gauge
	dropped   prometheus.Counter
}

type httpLabels struct {
	route, method string
	status        int
}

type inspectLabels struct {
	transport string
	active    bool
}

// New returns a Meter that measures. version is the program's own, for build_info.
func New(version string) *Meter {
	m := &Meter{r: &registry{registry: prometheus.NewRegistry()}}
	m.r.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.r.requests()
	m.r.oauth()
	m.r.passwords()
	m.r.dropped = m.r.counter("audit_refusals_dropped_total", "Refused requests the audit trail had no room for.").WithLabelValues()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels tell what runs.",
	}, []string{"version", "go_version"})
	m.r.registry.MustRegister(info)
	info.WithLabelValues(version, runtime.Version()).Set(1)
	return m
}

func (r *registry) requests() {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "http_request_duration_seconds", Help: "Time to answer, by route pattern.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"route", "method", "code"})
	r.registry.MustRegister(vec)
	r.http.resolve = func(l httpLabels) prometheus.Observer {
		return vec.WithLabelValues(l.route, l.method, strconv.Itoa(l.status))
	}
}

func (r *registry) oauth() {
	issued := r.counter("tokens_issued_total", "Tokens issued, by grant and type.", "grant", "type")
	r.issued.resolve = func(l [2]string) prometheus.Counter { return issued.WithLabelValues(l[0], l[1]) }
	errs := r.counter("token_errors_total", "Token requests refused, by grant and OAuth error.", "grant", "error")
	r.errors.resolve = func(l [2]string) prometheus.Counter { return errs.WithLabelValues(l[0], l[1]) }
	inspected := r.counter("introspections_total", "Introspection answers.", "transport", "active")
	r.inspected.resolve = func(l inspectLabels) prometheus.Counter {
		return inspected.WithLabelValues(l.transport, strconv.FormatBool(l.active))
	}
	replays := r.counter("replays_total", "Codes and refresh tokens presented again after use.", "kind")
	r.replays.resolve = func(kind string) prometheus.Counter { return replays.WithLabelValues(kind) }
	applied := r.counter("registrations_total", "What applications that register themselves did.", "action", "result")
	r.applied.resolve = func(l [2]string) prometheus.Counter { return applied.WithLabelValues(l[0], l[1]) }
	shed := r.counter("requests_shed_total", "Requests sent away with 503 because there were more than could be answered.", "class")
	r.shed.resolve = func(class string) prometheus.Counter { return shed.WithLabelValues(class) }
	devices := r.counter("device_answers_total", "Answers to devices that asked for access, and wrong codes.", "answer")
	r.devices.resolve = func(answer string) prometheus.Counter { return devices.WithLabelValues(answer) }
	limited := r.counter("rate_limited_total", "Requests refused by a rate limit.", "rule")
	logouts := r.counter("backchannel_logouts_total", "Attempts to tell an application that a session ended, by what came of them.", "result")
	r.logouts.resolve = func(result string) prometheus.Counter { return logouts.WithLabelValues(result) }
	r.limited.resolve = func(rule string) prometheus.Counter { return limited.WithLabelValues(rule) }
}

func (r *registry) passwords() {
	logins := r.counter("logins_total", "Sign-in attempts.", "method", "result")
	r.logins.resolve = func(l [2]string) prometheus.Counter { return logins.WithLabelValues(l[0], l[1]) }
	r.hash = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "password_hash_seconds", Help: "Time of one password hashing, without the wait for a slot.",
		Buckets: []float64{.0005, .005, .01, .025, .05, .075, .1, .15, .25, .5, 1, 2.5},
	})
	r.waiting = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "password_hash_waiting", Help: "Password hashings that wait for a slot.",
	})
	r.registry.MustRegister(r.hash, r.waiting)
}

func (r *registry) counter(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.registry.MustRegister(vec)
	return vec
}

// Handler serves the Prometheus text format.
func (m *Meter) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.r.registry, promhttp.HandlerOpts{
		Registry: m.r.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// HTTP counts one answered request by route pattern, "" for no route.
func (m *Meter) HTTP(route, method string, status int, took time.Duration) {
	if m == nil {
		return
	}
	if route == "" {
		route = "none"
	}
	if status < 100 || status > 599 {
		status = 0
	}
	m.r.http.of(httpLabels{route, knownMethod(method), status}).Observe(took.Seconds())
}

// TokenIssued counts a token by grant and kind ("access", "refresh", "id", "code").
func (m *Meter) TokenIssued(grant, kind string) {
	if m == nil {
		return
	}
	m.r.issued.of([2]string{knownGrant(grant), kind}).Inc()
}

// TokenError counts a refused token request by grant and OAuth error code.
func (m *Meter) TokenError(grant, code string) {
	if m == nil {
		return
	}
	m.r.errors.of([2]string{knownGrant(grant), knownError(code)}).Inc()
}

// Login counts a sign-in attempt by method ("password") and result ("ok", "refused", "limited", "error").
func (m *Meter) Login(method, result string) {
	if m == nil {
		return
	}
	m.r.logins.of([2]string{method, result}).Inc()
}

// Introspection counts an answer by transport ("http") and whether it was active.
func (m *Meter) Introspection(transport string, active bool) {
	if m == nil {
		return
	}
	m.r.inspected.of(inspectLabels{transport, active}).Inc()
}

// Replay counts a replayed code, device code, refresh token or assertion ("code",
// "device_code", "refresh", "assertion").
func (m *Meter) Replay(kind string) {
	if m == nil {
		return
	}
	m.r.replays.of(kind).Inc()
}

// DeviceAnswer counts what a person's visit to the device page led to ("approved",
// "denied", "expired", "wrong_code").
func (m *Meter) DeviceAnswer(answer string) {
	if m == nil {
		return
	}
	m.r.devices.of(answer).Inc()
}

// PasswordHash observes one hashing or verification.
func (m *Meter) PasswordHash(took time.Duration) {
	if m == nil {
		return
	}
	m.r.hash.Observe(took.Seconds())
}

// PasswordWaiting tells how many hashings wait for a slot.
func (m *Meter) PasswordWaiting(n int) {
	if m == nil {
		return
	}
	m.r.waiting.Set(float64(n))
}

// Registration counts what an application that registers itself did ("register",
// "read", "update", "delete", "expire") and the result ("ok", "refused", "error").
func (m *Meter) Registration(action, result string) {
	if m == nil {
		return
	}
	m.r.applied.of([2]string{action, result}).Inc()
}

// RateLimited counts a refusal by rule.
func (m *Meter) RateLimited(rule string) {
	if m == nil {
		return
	}
	m.r.limited.of(rule).Inc()
}

// Shed counts a request of a class that was sent away before any work was done.
func (m *Meter) Shed(class string) {
	if m == nil {
		return
	}
	m.r.shed.of(class).Inc()
}

// BackchannelLogout counts an attempt to tell an application of a session's end
// ("delivered", "retried", "abandoned").
func (m *Meter) BackchannelLogout(result string) {
	if m == nil {
		return
	}
	m.r.logouts.of(result).Inc()
}

// RefusalsDropped counts refusals the trail had no room for.
func (m *Meter) RefusalsDropped(n int) {
	if m == nil || n <= 0 {
		return
	}
	m.r.dropped.Add(float64(n))
}

// Gauge publishes a figure read at scrape time, such as
// Gauge("signing_key_age_seconds", …). The prefix gatekeeper_ is added if it is
// not there. It panics if the name is taken: a name has one home.
func (m *Meter) Gauge(name, help string, read func() float64) {
	if m == nil {
		return
	}
	m.r.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: strings.TrimPrefix(name, namespace+"_"), Help: help,
	}, read))
}

// Count publishes a figure read at scrape time that only grows, such as
// Count("store_round_trips_total", …); otherwise as Gauge.
func (m *Meter) Count(name, help string, read func() float64) {
	if m == nil {
		return
	}
	m.r.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: namespace, Name: strings.TrimPrefix(name, namespace+"_"), Help: help,
	}, read))
}
