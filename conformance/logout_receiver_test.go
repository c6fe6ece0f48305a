package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// A receiver is the back channel of an application: a real server that keeps what
// it is told, and answers as it was told to.
type receiver struct {
	address string

	mu      sync.Mutex
	tokens  []string
	answers []int // status of the next answers; 200 when there are no more

	// hang, if not nil, is asked before each answer, which waits until it is closed
	// or the caller has gone.
	hang func() <-chan struct{}
}

func newReceiver(t *testing.T, answers ...int) *receiver {
	t.Helper()
	r := &receiver{answers: answers}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(server.Close)
	r.address = server.URL + "/backchannel?kept=1"
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || req.URL.Query().Get("kept") != "1" || req.PostFormValue("logout_token") == "" ||
		req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	r.mu.Lock()
	r.tokens = append(r.tokens, req.PostFormValue("logout_token"))
	status, hang := http.StatusOK, r.hang
	if len(r.answers) > 0 {
		status, r.answers = r.answers[0], r.answers[1:]
	}
	r.mu.Unlock()
	if hang != nil {
		select {
		case <-hang():
		case <-req.Context().Done():
			return
		}
	}
	w.WriteHeader(status)
}

// then sets the next answers.
func (r *receiver) then(answers ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = answers
}

// wait sets what answers wait for; nil for nothing.
func (r *receiver) wait(hang func() <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hang = hang
}

// heard returns the tokens so far.
func (r *receiver) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tokens)
}

// about returns the tokens that speak of a session, by claims nobody has checked.
func (r *receiver) about(t *testing.T, sid string) (tokens []string) {
	t.Helper()
	for _, raw := range r.heard() {
		var c struct{ SID string }
		part(t, raw, 1, &c)
		if c.SID == sid {
			tokens = append(tokens, raw)
		}
	}
	return tokens
}

// part decodes the header (0) or the claims (1) of a JWT.
func part(t *testing.T, raw string, i int, into any) {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", raw)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// sidOf is the session an ID token names.
func sidOf(t *testing.T, raw string) string {
	t.Helper()
	var c struct{ SID string }
	part(t, raw, 1, &c)
	if c.SID == "" {
		t.Fatal("an ID token without sid")
	}
	return c.SID
}

// checkLogoutToken validates a logout token as Back-Channel Logout 1.0 section 2.6
// demands of an application: a is its client, hint the ID token it got.
func checkLogoutToken(t *testing.T, a *app, raw, hint string) (jti string) {
	t.Helper()
	var header, idHeader struct{ Typ, Alg, Kid string }
	part(t, raw, 0, &header)
	part(t, hint, 0, &idHeader)
	if header.Typ != "logout+jwt" || header.Kid == "" || header.Alg != idHeader.Alg {
		t.Errorf("header %+v, the ID token's is %+v", header, idHeader)
	}
	token, err := a.provider.Verifier(&oidc.Config{ClientID: a.config.ClientID, SupportedSigningAlgs: []string{idHeader.Alg}}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("logout token: %v", err)
	}
	var c struct {
		Subject string          `json:"sub"`
		SID     string          `json:"sid"`
		JTI     string          `json:"jti"`
		Issued  int64           `json:"iat"`
		Expires int64           `json:"exp"`
		Nonce   any             `json:"nonce"`
		Events  json.RawMessage `json:"events"`
	}
	if err := token.Claims(&c); err != nil {
		t.Fatal(err)
	}
	var id struct{ Sub, Sid string }
	part(t, hint, 1, &id)
	if c.Subject != id.Sub || c.SID != id.Sid {
		t.Errorf("sub %q, sid %q; the ID token says %q, %q", c.Subject, c.SID, id.Sub, id.Sid)
	}
	if string(c.Events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || c.Nonce != nil || c.JTI == "" {
		t.Errorf("events %s, nonce %v, jti %q", c.Events, c.Nonce, c.JTI)
	}
	if life := c.Expires - c.Issued; life <= 0 || life > 120 || c.Issued < time.Now().Add(-time.Minute).Unix() {
		t.Errorf("lives %d s from %d", life, c.Issued)
	}
	return c.JTI
}
