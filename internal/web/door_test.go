package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

var reference = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`)

func TestOAuthErrors(t *testing.T) {
	t.Parallel()
	unknown := &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_client", Detail: "The client is unknown."}
	tests := []struct {
		name    string
		err     error
		header  []string
		status  int
		code    string
		wantHdr map[string]string
	}{
		{"invalid", errTest, nil, 400, "invalid_scope", nil},
		{"wrapped", fmt.Errorf("exchange: %w", errTest), nil, 400, "invalid_scope", nil},
		{"unknown client by Basic", unknown, []string{"Authorization", "Basic eDp5"}, 401, "invalid_client", map[string]string{"WWW-Authenticate": `Basic realm="gatekeeper"`}},
		{"unknown client by form", unknown, nil, 401, "invalid_client", map[string]string{"WWW-Authenticate": `Basic realm="gatekeeper"`}},
		{"a store is down", fault.Down("store", errors.New("boom")), nil, 503, "temporarily_unavailable", map[string]string{"Retry-After": "2"}},
		{"too many", &fault.Error{Kind: fault.TooMany, Code: "slow_down", RetryAfter: 1500 * time.Millisecond}, nil, 429, "slow_down", map[string]string{"Retry-After": "2"}},
		{"anything else", errors.New("the password is hunter2"), nil, 500, "server_error", nil},
		{"out of time", fmt.Errorf("query: %w", context.DeadlineExceeded), nil, 503, "temporarily_unavailable", map[string]string{"Retry-After": "2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.OAuth("POST /token", failing(tt.err), nil)
			w := b.do(request("POST", "/token", "a=b", tt.header...))
			got := decoded(t, w)
			if w.Code != tt.status || got["error"] != tt.code {
				t.Errorf("%d %v, want %d %s", w.Code, got["error"], tt.status, tt.code)
			}
			text, _ := got["error_description"].(string)
			if len(text) < 16 || !strings.HasSuffix(text, ")") || !reference.MatchString(text[len(text)-10:len(text)-1]) || strings.Contains(text, "hunter2") {
				t.Errorf("description %q", text)
			}
			for _, c := range []byte(text) {
				if c < ' ' || c > '~' || c == '"' || c == '\\' {
					t.Errorf("description %q has %q", text, c)
				}
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", w.Header())
			}
			for k, v := range tt.wantHdr {
				if w.Header().Get(k) != v {
					t.Errorf("%s %q, want %q", k, w.Header().Get(k), v)
				}
			}
		})
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.API("GET /x", failing(&fault.Error{Kind: fault.Conflict, Code: "client_exists", Detail: "There is a client shop already."}))
	w := b.get("/x", "X-Correlation-ID", "c-1")
	got := decoded(t, w)
	ref, _ := got["reference"].(string)
	if !reference.MatchString(ref) {
		t.Errorf("reference %q", ref)
	}
	golden(t, "problem.golden.json", strings.Replace(indented(t, w), ref, "REFERENCE", 1))
	if w.Code != http.StatusConflict || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
}

func indented(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	out, err := json.MarshalIndent(decoded(t, w), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

func TestBearerChallenges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    *fault.Error
		header []string
		status int
		want   string
	}{
		{"no token at all", &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Detail: "No."}, nil, 401, `Bearer realm="gatekeeper"`},
		{
			"a bad token", &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Detail: `It "expired".`},
			[]string{"Authorization", "Bearer x"},
			401, `Bearer realm="gatekeeper", error="invalid_token", error_description="It 'expired'."`,
		},
		{
			"a narrow token", &fault.Error{Kind: fault.Forbidden, Code: "insufficient_scope", Detail: "Narrow."},
			[]string{"Authorization", "Bearer x"},
			403, `Bearer realm="gatekeeper", error="insufficient_scope", error_description="Narrow."`,
		},
		{"not about the token", fault.Missing("user", "ana"), []string{"Authorization", "Bearer x"}, 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Resource("GET /userinfo", failing(tt.err), nil)
			b.API("GET /admin", failing(tt.err))
			for _, path := range []string{"/userinfo", "/admin"} {
				w := b.get(path, tt.header...)
				if got := w.Header().Get("WWW-Authenticate"); w.Code != tt.status || got != tt.want {
					t.Errorf("%s: %d\n got %s\nwant %s", path, w.Code, got, tt.want)
				}
			}
		})
	}
}

func TestPagesShowAReference(t *testing.T) {
	t.Parallel()
	for _, dev := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.Dev = dev })
		b.Page("GET /x", failing(&fault.Error{
			Kind: fault.Invalid, Code: "invalid_request", Detail: "The address to return to is not registered.", Rule: "redirect_uri_registered",
			Facts: []fault.Fact{{Name: "received", Value: "https://evil.example/<script>"}},
		}))
		w := b.get("/x")
		body := w.Body.String()
		if w.Code != 400 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Fatalf("%d %s", w.Code, w.Header().Get("Content-Type"))
		}
		if len(b.refused) != 1 || !strings.Contains(body, b.refused[0].Reference) || !strings.Contains(body, "is not registered. (invalid_request)") {
			t.Errorf("dev %t: the page says neither why nor which:\n%s", dev, body)
		}
		if got := strings.Contains(body, "evil.example"); got != dev {
			t.Errorf("dev %t: facts shown: %t", dev, got)
		}
		if strings.Contains(body, "<script>") {
			t.Error("a fact became markup")
		}
	}
}

func TestStrangersGetAPageOrAProblem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got := b.get("/nowhere", "Accept", "text/html,*/*"); got.Code != 404 || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/html") {
		t.Errorf("a browser got %d %s", got.Code, got.Header().Get("Content-Type"))
	}
	if got := b.get("/nowhere"); got.Code != 404 || got.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a program got %d %s", got.Code, got.Header().Get("Content-Type"))
	}
}

func TestRefusalsReachTheTrail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"invalid", errTest, true},
		{"too many", &fault.Error{Kind: fault.TooMany, Code: "x"}, true},
		{"missing", fault.Missing("user", "ana"), false},
		{"down", fault.Down("store", errors.New("boom")), false},
		{"broken", errors.New("boom"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.OAuth("POST /token", func(_ http.ResponseWriter, r *http.Request) error {
				Note(r.Context(), clientID("shop"))
				return tt.err
			}, nil)
			w := b.do(request("POST", "/token", "a=b"))
			if got := len(b.refused) == 1; got != tt.want {
				t.Fatalf("%d refusals", len(b.refused))
			}
			line := b.log.lines(t)[0]
			if !strings.Contains(w.Body.String(), line["reference"].(string)) {
				t.Errorf("log %v, body %s: not the same reference", line, w.Body)
			}
			if tt.want && (b.refused[0].ClientID != "shop" || b.refused[0].Route != "/token" || b.refused[0].Reference != line["reference"]) {
				t.Errorf("refusal %+v, line %v", b.refused[0], line)
			}
		})
	}
}

func TestRefuseTwiceIsOneRefusal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var first string
	b.OAuth("GET /x", func(_ http.ResponseWriter, r *http.Request) error {
		first, _ = b.Refuse(r, errTest)
		return errTest
	}, nil)
	w := b.get("/x")
	if len(b.refused) != 1 || !strings.Contains(w.Body.String(), first) {
		t.Errorf("%d refusals; body %s lacks %s", len(b.refused), w.Body, first)
	}
}

func TestDescriptionHoldsOnlyWhatTheGrammarAllows(t *testing.T) {
	t.Parallel()
	if got, want := Description("a \"b\" \\ c\r\nd\té\x00"), "a 'b' / c  d ??"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := len(Description(strings.Repeat("x", 1000))); got != 512 {
		t.Errorf("length %d", got)
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.OAuth("GET /x", func(http.ResponseWriter, *http.Request) error { panic("the secret is 42") }, nil)
	w := b.get("/x")
	line := b.log.lines(t)[0]
	if w.Code != 500 || strings.Contains(w.Body.String(), "42") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if stack, _ := line["stack"].(string); !strings.Contains(stack, "door_test.go") || line["level"] != "ERROR" || line["cause"] == "" {
		t.Errorf("line %v", line)
	}
}

func TestHandlersMayAbort(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.OAuth("GET /abort", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, nil)
	b.OAuth("GET /late", func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half an ans"))
		return errors.New("boom")
	}, nil)
	for _, path := range []string{"/abort", "/late"} {
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: recovered %v; the connection must be cut", path, v)
				}
			}()
			b.get(path)
		}()
	}
	lines := b.log.lines(t)
	if lines[0]["status"] != 499.0 || lines[1]["cause"] != "boom" {
		t.Errorf("lines %v", lines)
	}
}

func TestACallerWhoHungUpIsNoFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.OAuth("GET /x", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("query: %w", r.Context().Err())
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.do(request("GET", "/x", "").WithContext(ctx))
	if line := b.log.lines(t)[0]; line["status"] != 499.0 || line["level"] != "INFO" {
		t.Errorf("line %v", line)
	}
}

func TestASessionThatCannotBeReadIs503(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Session = func(http.ResponseWriter, *http.Request) (context.Context, error) {
			return nil, fault.Down("store", errors.New("boom"))
		}
	})
	b.Page("GET /x", fine)
	if w := b.get("/x"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestHandlersHaveABudget(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	left := map[string]time.Duration{}
	keep := func(name string) Handler {
		return func(_ http.ResponseWriter, r *http.Request) error {
			if d, ok := r.Context().Deadline(); ok {
				left[name] = time.Until(d)
			}
			return nil
		}
	}
	b.Page("GET /page", keep("page"))
	b.OAuth("GET /oauth", keep("oauth"), nil)
	b.get("/page")
	b.get("/oauth")
	if p, o := left["page"], left["oauth"]; p <= 5*time.Second || p > 10*time.Second || o <= 0 || o > 5*time.Second {
		t.Errorf("budgets %v", left)
	}
}

// TestEveryKindOfAnswer holds what each kind of error looks like to each audience:
// status, headers and document.
func TestEveryKindOfAnswer(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name string
		err  error
	}{
		{"invalid", &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Detail: "The redirect URI has a \"fragment\"."}},
		{"unauthenticated", &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Detail: "The token has expired."}},
		{"forbidden", &fault.Error{Kind: fault.Forbidden, Code: "insufficient_scope", Detail: "The token lacks the scope admin."}},
		{"not_found", fault.Missing("client", "shop")},
		{"conflict", &fault.Error{Kind: fault.Conflict, Code: "client_exists", Detail: "There is a client shop already."}},
		{"too_many", &fault.Error{Kind: fault.TooMany, Code: "slow_down", Detail: "There were too many attempts.", RetryAfter: 30 * time.Second}},
		{"too_large", &fault.Error{Kind: fault.TooLarge, Code: "too_large", Detail: "The request is longer than 65536 bytes."}},
		{"unavailable", fault.Down("database", errors.New("dial db.internal: refused"))},
		{"internal", errors.New("a cause nobody outside may read")},
	}
	b := newBench(t)
	for _, k := range kinds {
		b.API("GET /api/"+k.name, failing(k.err))
		b.OAuth("GET /oauth/"+k.name, failing(k.err), nil)
		b.Resource("GET /resource/"+k.name, failing(k.err), nil)
	}
	var out strings.Builder
	for _, audience := range []string{"/api/", "/oauth/", "/resource/"} {
		for _, k := range kinds {
			w := b.get(audience+k.name, "X-Correlation-ID", "c-1", "Authorization", "Bearer a-token")
			fmt.Fprintf(&out, "GET %s%s\n%d %s\n", audience, k.name, w.Code, w.Header().Get("Content-Type"))
			for _, name := range []string{"Cache-Control", "Retry-After", "WWW-Authenticate"} {
				if v := w.Header().Get(name); v != "" {
					fmt.Fprintf(&out, "%s: %s\n", name, v)
				}
			}
			out.WriteString(anyReference.ReplaceAllString(indented(t, w), "REFERENCE") + "\n")
		}
	}
	golden(t, "answers.golden", out.String())
}

var anyReference = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}`)
