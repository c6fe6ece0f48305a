package oauth2

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// The prefixes of what the server hands out: they isolate the kinds from each
// other and let a scanner find a leaked one.
const (
	codePrefix    = "gk_ac_"
	refreshPrefix = "gk_rt_"
	accessPrefix  = "gk_at_"
	secretPrefix  = "gk_cs_"
)

var errSealed = errors.New("oauth2: not sealed by us")

// A sealedCode is what an authorization code carries: a whole grant request,
// ids only. Short names keep the code short.
type sealedCode struct {
	Grant     string   `json:"g"`
	Client    string   `json:"c"`
	Redirect  []byte   `json:"r"` // SHA-256 of the redirect URI
	Scopes    []string `json:"s,omitempty"`
	Audience  []string `json:"u,omitempty"`
	Narrowed  bool     `json:"w,omitempty"`
	Challenge string   `json:"p,omitempty"`
	Nonce     string   `json:"n,omitempty"`
	Subject   string   `json:"b"`
	Session   string   `json:"d"`
	AuthTime  int64    `json:"t"`
	AMR       []string `json:"m,omitempty"`
	ACR       string   `json:"a,omitempty"`
	Expires   int64    `json:"e"`
	Claims    Claims   `json:"l,omitzero"`
	// Registration is the one of the client; "" in a code of an older release.
	Registration string `json:"i,omitempty"`
}

// sealCode makes the code of a grant that does not exist yet.
func (p *Provider) sealCode(g Grant, req AuthorizeRequest) (string, error) {
	sum := sha256.Sum256([]byte(req.RedirectURI))
	plain, err := compact(sealedCode{
		Grant: g.ID, Client: g.ClientID, Redirect: sum[:], Scopes: g.Scopes, Audience: g.Audience, Narrowed: g.Narrowed, Challenge: req.CodeChallenge,
		Nonce: g.Nonce, Subject: g.Subject, Session: g.Session, AuthTime: g.AuthTime.Unix(), AMR: g.AMR, ACR: g.ACR, Claims: g.Claims,
		Expires: p.cfg.Now().Add(p.cfg.Lifetimes.Code).Unix(), Registration: g.Registration,
	})
	if err != nil {
		return "", err
	}
	return codePrefix + base64.RawURLEncoding.EncodeToString(p.cfg.Vault.Seal("code", "code", plain)), nil
}

// compact is v in JSON that spares the letters HTML would need written otherwise.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// openCode reverses sealCode; errSealed for anything this server did not make.
func (p *Provider) openCode(code string) (sealedCode, error) {
	var c sealedCode
	err := p.unseal(code, codePrefix, "code", &c)
	return c, err
}

// unseal opens a sealed, prefixed JSON value of one purpose.
func (p *Provider) unseal(token, prefix, purpose string, into any) error {
	body, ok := strings.CutPrefix(token, prefix)
	if !ok || len(body) > 16<<10 {
		return errSealed
	}
	raw, ok := unbase64(body)
	if !ok {
		return errSealed
	}
	plain, err := p.cfg.Vault.Open(purpose, purpose, raw)
	if err != nil {
		return errSealed
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return errSealed
	}
	return nil
}

// unbase64 reads unpadded base64url of which there is exactly one spelling. The
// decoder alone skips line breaks: a token could be written in two ways, or be
// shorter than its length says.
func unbase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return raw, err == nil
}

// grant returns the grant this code asks for.
func (c sealedCode) grant() Grant {
	g := Grant{
		ID: c.Grant, ClientID: c.Client, Subject: c.Subject, Session: c.Session, Scopes: c.Scopes, Audience: c.Audience, Narrowed: c.Narrowed,
		Nonce: c.Nonce, AuthTime: time.Unix(c.AuthTime, 0).UTC(), AMR: c.AMR, ACR: c.ACR, Claims: c.Claims, Registration: c.Registration,
	}
	g.Offline = g.has("offline_access")
	return g
}

func (g Grant) has(scope string) bool {
	for _, s := range g.Scopes {
		if s == scope {
			return true
		}
	}
	return false
}
