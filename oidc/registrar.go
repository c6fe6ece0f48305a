package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/meter"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A RegistrationMode says who may register an application.
type RegistrationMode string

// Nobody, whoever holds an initial access token, or everybody. The zero mode is
// closed.
const (
	RegistrationClosed RegistrationMode = "closed"
	RegistrationToken  RegistrationMode = "token"
	RegistrationOpen   RegistrationMode = "open"
)

// Advertised reports whether discovery tells of the endpoint.
func (m RegistrationMode) Advertised() bool {
	return m == RegistrationToken || m == RegistrationOpen
}

// A RegistrationEngine knows the rules of applications; oauth2.Provider is one.
type RegistrationEngine interface {
	CheckClient(c *oauth2.Client) error
	CheckSector(ctx context.Context, c *oauth2.Client) error
	Unwelcome(c *oauth2.Client) string // of an address nobody vouches for, "" if there is none
	NewSecret(c *oauth2.Client) (plain string, keep oauth2.SecretHash)
	HasSecret(c *oauth2.Client, secret string) bool
}

var _ RegistrationEngine = (*oauth2.Provider)(nil)

// RegistrationStore keeps applications that register themselves. Methods join the
// transaction of their context. Errors as in identity.Store; time is the
// database's.
type RegistrationStore interface {
	InTx(ctx context.Context, f func(ctx context.Context) error) error

	Client(ctx context.Context, id string) (oauth2.Client, error)
	InsertClient(ctx context.Context, c oauth2.Client) error
	UpdateClient(ctx context.Context, c oauth2.Client) error
	DeleteClient(ctx context.Context, id string) error // and its registration

	PutRegistration(ctx context.Context, r oauth2.Registration) error // upsert; counts as use
	Registration(ctx context.Context, clientID string) (oauth2.Registration, error)
	// PeekInitialToken reports whether the initial access token with this hash is
	// good for one more registration; SpendInitialToken uses one up and returns its
	// id, "" if it is not: never more often than it is good for.
	PeekInitialToken(ctx context.Context, hash []byte) (bool, error)
	SpendInitialToken(ctx context.Context, hash []byte) (id string, err error)

	// UnusedClients returns up to limit applications that were not used for so long
	// and have no grant that lives, the longest unused first.
	UnusedClients(ctx context.Context, unused time.Duration, limit int) ([]string, error)
	// ClaimUnused takes the registration of an application that is still unused away:
	// of racing callers exactly one gets true.
	ClaimUnused(ctx context.Context, clientID string, unused time.Duration) (bool, error)
}

// RegistrarConfig is what a Registrar needs. Meter, Used and Software may be nil;
// the zero Mode is closed, a zero Unused keeps applications for ever.
type RegistrarConfig struct {
	Issuer string
	Mode   RegistrationMode
	Engine RegistrationEngine
	Store  RegistrationStore
	Trail  *audit.Trail
	Limits ratelimit.Source
	Rules  ratelimit.Rules // zero: the defaults
	Meter  *meter.Meter
	Now    func() time.Time
	Scopes []string // an application may register itself for
	// InsecureNoPKCE lets applications that have a secret do without PKCE.
	InsecureNoPKCE bool
	Software       map[string]json.RawMessage // issuers of software statements, and their keys
	Unused         time.Duration
	Used           func(clientID string)
}

// A Registrar lets applications register themselves (RFC 7591, OpenID Connect
// Registration 1.0) and manage what they registered (RFC 7592).
type Registrar struct{ cfg RegistrarConfig }

// NewRegistrar returns a Registrar, or says which field of cfg is missing.
func NewRegistrar(cfg RegistrarConfig) (*Registrar, error) {
	if cfg.Issuer == "" || cfg.Engine == nil || cfg.Store == nil || cfg.Trail == nil || cfg.Limits == nil || cfg.Now == nil || len(cfg.Scopes) == 0 {
		return nil, errors.New("oidc: Issuer, Engine, Store, Trail, Limits, Now and Scopes are required")
	}
	if cfg.Rules == (ratelimit.Rules{}) {
		cfg.Rules = ratelimit.Defaults()
	}
	return &Registrar{cfg}, nil
}

// An applicant is an application as it is told of itself.
type applicant struct {
	client oauth2.Client
	record oauth2.Registration
	token  string // registration access token
	secret string // "" if it is not shown, or there is none
}

// information is the answer of RFC 7591 section 3.2.1 and RFC 7592 section 3.
func (r *Registrar) information(a applicant) map[string]any {
	out := known(&a.client)
	own := map[string]any{
		"client_id": a.client.ID, "client_id_issued_at": a.client.CreatedAt.Unix(),
		"registration_client_uri": r.cfg.Issuer + pathRegister + "/" + a.client.ID, "registration_access_token": a.token,
	}
	if a.client.KeepsSecret() {
		own["client_secret_expires_at"] = 0
	}
	if a.secret != "" {
		own["client_secret"] = a.secret
	}
	if a.record.Statement != "" {
		own["software_statement"] = a.record.Statement
	}
	maps.Copy(out, own)
	return out
}

// Register registers an application that says body of itself. initial is the
// initial access token, "" without. Faults: Forbidden while registration is
// closed, Unauthenticated, and Invalid with the codes of RFC 7591 section 3.2.2.
func (r *Registrar) Register(ctx context.Context, initial string, body []byte) (map[string]any, error) {
	if err := r.admits(ctx, initial); err != nil {
		return nil, err
	}
	got, err := parseMetadata(body)
	if err != nil {
		return nil, err
	}
	c := oauth2.Client{ID: oauth2.NewDynamicID(), Dynamic: true}
	statement, err := r.check(ctx, &c, got, terms{vouched: initial != ""})
	if err != nil {
		return nil, err
	}
	a := applicant{token: oauth2.NewRegistrationToken()}
	if c.KeepsSecret() {
		var keep oauth2.SecretHash
		a.secret, keep = r.cfg.Engine.NewSecret(&c)
		c.Secrets = []oauth2.SecretHash{keep}
	}
	a.record = oauth2.Registration{ClientID: c.ID, TokenHash: oauth2.HashOf(a.token), Statement: statement}
	err = r.cfg.Store.InTx(ctx, func(ctx context.Context) error {
		if initial != "" {
			if a.record.InitialToken, err = r.cfg.Store.SpendInitialToken(ctx, oauth2.HashOf(initial)); err != nil {
				return err
			}
			if a.record.InitialToken == "" {
				return spent()
			}
		}
		if err := r.cfg.Store.InsertClient(ctx, c); err != nil {
			return err
		}
		if err := r.cfg.Store.PutRegistration(ctx, a.record); err != nil {
			return err
		}
		if a.client, err = r.cfg.Store.Client(ctx, c.ID); err != nil {
			return err
		}
		return r.record(ctx, audit.ClientRegistered, c.ID, registeredDetail(&c, a.record))
	})
	if err != nil {
		return nil, fmt.Errorf("register an application: %w", err)
	}
	return r.information(a), nil
}

func registeredDetail(c *oauth2.Client, reg oauth2.Registration) map[string]string {
	detail := map[string]string{"type": string(c.Type)}
	if reg.InitialToken != "" {
		detail["token"] = reg.InitialToken
	}
	if iss, ok := statementIssuer(reg.Statement); ok {
		detail["software_issuer"] = clip(iss, 200)
	}
	return detail
}

// admits decides who may register an application.
func (r *Registrar) admits(ctx context.Context, initial string) error {
	switch {
	case !r.cfg.Mode.Advertised():
		return closed()
	case initial == "" && r.cfg.Mode == RegistrationToken:
		return refusedToken("initial_token_present", "Registering an application needs an initial access token.")
	case initial == "":
		return nil
	}
	live, err := r.cfg.Store.PeekInitialToken(ctx, oauth2.HashOf(initial))
	if err != nil {
		return fmt.Errorf("initial access token: %w", err)
	}
	if !live {
		return spent()
	}
	return nil
}

func closed() error {
	return &fault.Error{
		Kind: fault.Forbidden, Code: "access_denied", Rule: "registration_open",
		Detail: "Applications do not register themselves here; the operator registers them.",
	}
}

func spent() error {
	return refusedToken("initial_token_alive", "The initial access token is unknown, used up or too old.")
}

// terms are what decides beside what an application says.
type terms struct {
	vouched bool     // an initial access token answers for it
	kept    []string // scopes an operator gave it
}

// check describes c by what came and holds it to every rule. It returns the
// software statement.
func (r *Registrar) check(ctx context.Context, c *oauth2.Client, got map[string]json.RawMessage, t terms) (statement string, err error) {
	if statement, err = r.vouch(got); err != nil {
		return "", err
	}
	if err := describe(c, got); err != nil {
		return "", err
	}
	asked := strings.Join(c.Scopes, " ")
	r.within(c, t.kept)
	c.InsecureNoPKCE = !c.Public() && (c.InsecureNoPKCE || r.cfg.InsecureNoPKCE)
	for _, rule := range registrationRules {
		if why := rule.run(r, c, t.vouched); why != "" {
			return "", badMetadata(rule.rule, why).With("asked", clip(asked, 512)).With("open", strings.Join(r.cfg.Scopes, " "))
		}
	}
	if err := r.cfg.Engine.CheckClient(c); err != nil {
		return "", fmt.Errorf("check an application: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, sectorTime)
	defer cancel()
	if err := r.cfg.Engine.CheckSector(ctx, c); err != nil {
		return "", fmt.Errorf("check an application: %w", err)
	}
	return statement, nil
}

// sectorTime is how long a sector document may take: less than the request may.
const sectorTime = 3 * time.Second

// record writes what happened into the trail, by the application itself.
func (r *Registrar) record(ctx context.Context, kind audit.Kind, clientID string, detail map[string]string) error {
	return r.cfg.Trail.Record(ctx, audit.Event{Kind: kind, Actor: "client:" + clientID, ClientID: clientID, Detail: detail})
}

// Expire forgets applications that nobody used for too long, at most limit of
// them, each in a transaction of its own, and returns how many.
func (r *Registrar) Expire(ctx context.Context, limit int) (int, error) {
	if r.cfg.Unused <= 0 {
		return 0, nil
	}
	ids, err := r.cfg.Store.UnusedClients(ctx, r.cfg.Unused, limit)
	if err != nil {
		return 0, fmt.Errorf("unused applications: %w", err)
	}
	gone := 0
	for _, id := range ids {
		mine := false
		err := r.cfg.Store.InTx(ctx, func(ctx context.Context) error {
			var err error
			if mine, err = r.cfg.Store.ClaimUnused(ctx, id, r.cfg.Unused); err != nil || !mine {
				return err
			}
			if err := r.cfg.Store.DeleteClient(ctx, id); err != nil {
				return err
			}
			return r.cfg.Trail.Record(ctx, audit.Event{
				Kind: audit.ClientDeleted, Actor: identity.System, ClientID: id,
				Detail: map[string]string{"reason": "unused", "for": r.cfg.Unused.String()},
			})
		})
		if err != nil {
			return gone, fmt.Errorf("forget unused application %s: %w", id, err)
		}
		if mine {
			gone++
			r.cfg.Meter.Registration("expire", "ok")
		}
	}
	return gone, nil
}
