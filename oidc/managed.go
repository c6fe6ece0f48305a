package oidc

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// Read returns what an application registered (RFC 7592 section 2.1). Its secret
// is not in it: only a hash of it is kept.
func (r *Registrar) Read(ctx context.Context, id, token string) (map[string]any, error) {
	a, err := r.own(ctx, id, token)
	if err != nil {
		return nil, err
	}
	r.used(id)
	return r.information(a), nil
}

// Replace replaces what an application registered, whole: what is left out is as
// if it had never been said (RFC 7592 section 2.2). What an operator gave the
// application stays, and so does its secret. One that had none and needs one now
// is given one, shown this once.
func (r *Registrar) Replace(ctx context.Context, id, token string, body []byte) (map[string]any, error) {
	if !r.cfg.Mode.Advertised() {
		return nil, closed()
	}
	a, err := r.own(ctx, id, token)
	if err != nil {
		return nil, err
	}
	got, err := parseMetadata(body)
	if err != nil {
		return nil, err
	}
	have, want := a.client, a.client
	if err := r.replaces(&have, got); err != nil {
		return nil, err
	}
	statement, err := r.check(ctx, &want, got, terms{vouched: a.record.InitialToken != "", kept: have.Scopes})
	if err != nil {
		return nil, err
	}
	if why := sameSector(&have, &want); why != "" {
		return nil, badMetadata("registration_same_sector", why)
	}
	a.record.Statement = statement
	err = r.cfg.Store.InTx(ctx, func(ctx context.Context) error {
		now, err := r.own(ctx, id, token) // the row is held from here on
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(now.client, have) {
			return moved()
		}
		if !slices.Equal(have.RedirectURIs, want.RedirectURIs) {
			want.FirstParty = false // an operator's trust was in where its people were sent
		}
		if a.secret, err = r.secrets(&want); err != nil {
			return err
		}
		if err := r.cfg.Store.UpdateClient(ctx, want); err != nil {
			return err
		}
		if err := r.cfg.Store.PutRegistration(ctx, a.record); err != nil {
			return err
		}
		if a.client, err = r.cfg.Store.Client(ctx, id); err != nil {
			return err
		}
		return r.record(ctx, audit.ClientUpdated, id, map[string]string{"changed": changed(&have, &want)})
	})
	if err != nil {
		return nil, fmt.Errorf("replace registration of %s: %w", id, err)
	}
	return r.information(a), nil
}

// secrets gives a replaced application the secrets it may have now, and returns
// one that was made for it.
func (r *Registrar) secrets(c *oauth2.Client) (made string, err error) {
	switch {
	case !c.KeepsSecret():
		c.Secrets = nil
	case len(c.Secrets) == 0:
		plain, keep := r.cfg.Engine.NewSecret(c)
		c.Secrets = []oauth2.SecretHash{keep}
		return plain, nil
	case c.LacksShared():
		return "", badMetadata("client_secret_shared",
			"HS256 and client_secret_jwt need the secret itself, and only a hash of it was kept; register again.")
	}
	return "", nil
}

// Remove forgets an application and revokes what it was granted (RFC 7592 section
// 2.3).
func (r *Registrar) Remove(ctx context.Context, id, token string) error {
	err := r.cfg.Store.InTx(ctx, func(ctx context.Context) error {
		if _, err := r.own(ctx, id, token); err != nil {
			return err
		}
		if err := r.cfg.Store.DeleteClient(ctx, id); err != nil {
			return err
		}
		return r.record(ctx, audit.ClientDeleted, id, map[string]string{"reason": "itself"})
	})
	if err != nil {
		return fmt.Errorf("remove registration of %s: %w", id, err)
	}
	return nil
}

// own returns the application called id if token is its registration access token.
// One that is gone and one whose token this is not are the same to the caller (RFC
// 7592 section 2).
func (r *Registrar) own(ctx context.Context, id, token string) (applicant, error) {
	if token == "" {
		return applicant{}, refusedToken("registration_token_present", "A registration access token is required.")
	}
	stranger := refusedToken("registration_token", "This is not the registration access token of an application.").With("client_id", clip(id, 100))
	c, err := r.cfg.Store.Client(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return applicant{}, stranger
	}
	if err != nil {
		return applicant{}, fmt.Errorf("client %s: %w", id, err)
	}
	reg, err := r.cfg.Store.Registration(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return applicant{}, stranger
	}
	if err != nil {
		return applicant{}, fmt.Errorf("registration of %s: %w", id, err)
	}
	if !reg.Proves(token) {
		return applicant{}, stranger
	}
	if c.Disabled {
		return applicant{}, &fault.Error{
			Kind: fault.Forbidden, Code: "access_denied", Rule: "registration_enabled",
			Detail: "The operator has disabled the application.", Facts: []fault.Fact{{Name: "client_id", Value: id}},
		}
	}
	return applicant{client: c, record: reg, token: token}, nil
}

func moved() error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "invalid_request", Rule: "registration_unchanged",
		Detail: "The application was changed by somebody else at the same time; read it and try again.",
	}
}

func (r *Registrar) used(id string) {
	if r.cfg.Used != nil {
		r.cfg.Used(id)
	}
}
