package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

// DiscoveryPath is where a provider describes itself, below its issuer (OpenID
// Connect Discovery 4).
const DiscoveryPath = "/.well-known/openid-configuration"

// Metadata is what the modules read of discovery; Raw is all of it.
type Metadata struct {
	Issuer          string   `json:"issuer"`
	Authorization   string   `json:"authorization_endpoint"`
	Token           string   `json:"token_endpoint"`
	Userinfo        string   `json:"userinfo_endpoint"`
	JWKS            string   `json:"jwks_uri"`
	Registration    string   `json:"registration_endpoint"`
	Revocation      string   `json:"revocation_endpoint"`
	Device          string   `json:"device_authorization_endpoint"`
	Introspection   string   `json:"introspection_endpoint"`
	EndSession      string   `json:"end_session_endpoint"`
	Pushed          string   `json:"pushed_authorization_request_endpoint"`
	CheckSession    string   `json:"check_session_iframe"`
	CodeChallenges  []string `json:"code_challenge_methods_supported"`
	ResponseTypes   []string `json:"response_types_supported"`
	ResponseModes   []string `json:"response_modes_supported"`
	Grants          []string `json:"grant_types_supported"`
	Scopes          []string `json:"scopes_supported"`
	Claims          []string `json:"claims_supported"`
	ACRs            []string `json:"acr_values_supported"`
	SubjectTypes    []string `json:"subject_types_supported"`
	IDTokenAlgs     []string `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs    []string `json:"userinfo_signing_alg_values_supported"`
	ObjectAlgs      []string `json:"request_object_signing_alg_values_supported"`
	TokenAuth       []string `json:"token_endpoint_auth_methods_supported"`
	IssParameter    bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter bool     `json:"claims_parameter_supported"`
	Objects         bool     `json:"request_parameter_supported"`
	ObjectURIs      *bool    `json:"request_uri_parameter_supported"` // nil is true (Discovery 3)
	Backchannel     bool     `json:"backchannel_logout_supported"`
	BackchannelSID  bool     `json:"backchannel_logout_session_supported"`
	Frontchannel    bool     `json:"frontchannel_logout_supported"`
	FrontchannelSID bool     `json:"frontchannel_logout_session_supported"`

	Raw map[string]json.RawMessage `json:"-"`
}

// Unsigned reports whether the provider takes request objects without a
// signature; where it does not say, it may (Discovery 3).
func (m *Metadata) Unsigned() bool {
	return m.ObjectAlgs == nil || slices.Contains(m.ObjectAlgs, "none")
}

// References reports whether the provider takes request objects by reference.
func (m *Metadata) References() bool { return m.ObjectURIs == nil || *m.ObjectURIs }

// A Server is what every module knows of the provider before it begins.
type Server struct {
	Metadata *Metadata
	origin   *url.URL
	keys     oidc.KeySet
}

// discover reads the description of the provider and where its keys are.
func (t *Target) discover(ctx context.Context) (*Server, error) {
	origin, err := url.Parse(t.Issuer)
	if err != nil || origin.Host == "" {
		return nil, Failf("the issuer %q is no address", t.Issuer)
	}
	c := &Case{Target: t}
	r, err := c.Get(ctx, strings.TrimSuffix(t.Issuer, "/")+DiscoveryPath)
	if err != nil {
		return nil, err
	}
	if r.Status != http.StatusOK || r.JSON == nil {
		return nil, Failf("discovery answered %d with %s, not 200 with JSON", r.Status, or(r.Type(), "no media type"))
	}
	m := &Metadata{}
	if err := json.Unmarshal(r.Body, m); err != nil {
		return nil, Failf("discovery has a member of the wrong type: %v", err)
	}
	if err := json.Unmarshal(r.Body, &m.Raw); err != nil {
		return nil, fmt.Errorf("read discovery: %w", err)
	}
	for name, v := range map[string]string{"issuer": m.Issuer, "authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.JWKS} {
		if v == "" {
			return nil, Failf("discovery has no %s", name)
		}
	}
	if m.Issuer != t.Issuer {
		return nil, Failf("discovery says that the issuer is %s, not %s", m.Issuer, t.Issuer)
	}
	client := &http.Client{Transport: t.Transport}
	return &Server{Metadata: m, origin: origin, keys: oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), client), m.JWKS)}, nil
}

// Describe reads what a provider says of itself.
func Describe(ctx context.Context, issuer string, transport http.RoundTripper) (*Metadata, error) {
	s, err := (&Target{Issuer: issuer, Transport: transport}).discover(ctx)
	if err != nil {
		return nil, err
	}
	return s.Metadata, nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
