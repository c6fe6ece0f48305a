package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// maxKeepOld bounds how long a replaced secret may go on working.
const maxKeepOld = 30 * 24 * time.Hour

// CreateClient registers an application. Faults: Invalid for what CheckClient
// refuses, Conflict if the id is taken, Forbidden beyond the actor's scopes.
func (s *Service) CreateClient(ctx context.Context, in ClientInput) (ClientWithSecret, error) {
	c := in.Client
	if err := s.OAuth.CheckClient(&c); err != nil {
		return ClientWithSecret{}, fmt.Errorf("create client %s: %w", c.ID, err)
	}
	if err := s.guardClient(ctx, c); err != nil {
		return ClientWithSecret{}, err
	}
	if err := s.OAuth.CheckSector(ctx, &c); err != nil {
		return ClientWithSecret{}, fmt.Errorf("create client %s: %w", c.ID, err)
	}
	c.Dynamic = false // it did not register itself
	plain, keep, err := s.secret(c, in.Secret)
	if err != nil {
		return ClientWithSecret{}, err
	}
	c.Secrets = keep
	c.CreatedAt, c.UpdatedAt = time.Time{}, time.Time{} // the store's to set
	err = s.change(ctx, audit.ClientCreated, c.ID, map[string]string{"type": string(c.Type)}, func(ctx context.Context) error {
		if err := s.nobodysID(ctx, c.ID); err != nil {
			return err
		}
		if err := s.Store.InsertClient(ctx, c); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		c, err = s.client(ctx, c.ID)
		return err
	})
	if fault.Is(err, fault.Conflict) {
		return ClientWithSecret{}, &fault.Error{
			Kind: fault.Conflict, Code: "client_exists", Rule: "client_id_free", Detail: "There is a client " + c.ID + " already.", Err: err,
		}
	}
	if err != nil {
		return ClientWithSecret{}, fmt.Errorf("create client %s: %w", c.ID, err)
	}
	if isTrial(ctx) {
		plain = ""
	}
	return ClientWithSecret{Client: shown(c), Secret: plain}, nil
}

// nobodysID keeps client ids apart from people's: a token that a client got for
// itself has its id as subject (RFC 9700 section 4.15).
func (s *Service) nobodysID(ctx context.Context, id string) error {
	_, err := s.People.User(ctx, strings.ToLower(id))
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look whether %s is a person's id: %w", id, err)
	}
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_client_metadata", Rule: "client_id_nobodys", Detail: "This is the id of a person."}
}

// UpdateClient replaces an application whole, but for its secrets and its birth.
// Faults: Stale if it is none of seen, and those of CreateClient.
func (s *Service) UpdateClient(ctx context.Context, c oauth2.Client, seen ...string) (oauth2.Client, error) {
	if err := s.checkNewSector(ctx, c); err != nil {
		return oauth2.Client{}, fmt.Errorf("update client %s: %w", c.ID, err)
	}
	err := s.transact(ctx, func(ctx context.Context) error {
		have, err := s.client(ctx, c.ID)
		if err != nil {
			return err
		}
		if err := unchanged(ClientTag(have), seen); err != nil {
			return err
		}
		c.Dynamic = have.Dynamic
		if err := s.OAuth.CheckClient(&c); err != nil {
			return err
		}
		if err := errors.Join(s.guardClient(ctx, have), s.guardClient(ctx, c)); err != nil {
			return err
		}
		if c.Secrets = have.Secrets; !c.KeepsSecret() {
			c.Secrets = nil
		}
		if err := sharedSecretKnown(c); err != nil {
			return err
		}
		detail := changes(have, c)
		if c, err = s.write(ctx, c); err != nil {
			return err
		}
		return s.record(ctx, audit.ClientUpdated, c.ID, detail)
	})
	if err != nil {
		return oauth2.Client{}, fmt.Errorf("update client %s: %w", c.ID, err)
	}
	return shown(c), nil
}

// changes tells the trail which members of an application differ, what they were and
// what they are. Secrets are none of them.
func changes(have, want oauth2.Client) map[string]string {
	detail := map[string]string{}
	var names []string
	for _, f := range diff(have, want) {
		names = append(names, f.Name)
		audit.Changed(detail, f.Name, memberText(f.Have), memberText(f.Want))
	}
	detail["changed"] = strings.Join(names, " ")
	return detail
}

// memberText is a member's JSON as the trail has it: a list of words as words,
// nothing as nothing.
func memberText(raw json.RawMessage) string {
	var list []string
	var text string
	switch {
	case string(raw) == "null":
		return ""
	case json.Unmarshal(raw, &text) == nil:
		return text
	case json.Unmarshal(raw, &list) == nil:
		return strings.Join(list, " ")
	}
	return string(raw)
}

// checkNewSector looks at the sector document of an application that is to be
// changed, before the transaction and only where the change is about it: a name
// can change while somebody else's server is down.
func (s *Service) checkNewSector(ctx context.Context, c oauth2.Client) error {
	if c.SectorIdentifierURI == "" {
		return nil
	}
	have, err := s.client(ctx, c.ID)
	if err != nil {
		return err
	}
	if have.SectorIdentifierURI == c.SectorIdentifierURI && slices.Equal(have.RedirectURIs, c.RedirectURIs) {
		return nil
	}
	if err := s.OAuth.CheckClient(&c); err != nil {
		return err
	}
	return s.OAuth.CheckSector(ctx, &c)
}

// DeleteClient removes an application and revokes what it was granted, if it still is
// one of seen.
func (s *Service) DeleteClient(ctx context.Context, id string, seen ...string) error {
	err := s.change(ctx, audit.ClientDeleted, id, nil, func(ctx context.Context) error {
		c, err := s.client(ctx, id)
		if err != nil {
			return err
		}
		if err := errors.Join(unchanged(ClientTag(c), seen), s.guardClient(ctx, c)); err != nil {
			return err
		}
		return s.Store.DeleteClient(ctx, id)
	})
	if err != nil {
		return fmt.Errorf("delete client %s: %w", id, err)
	}
	return nil
}

// Client returns an application, disabled ones too; fault.NotFound.
func (s *Service) Client(ctx context.Context, id string) (oauth2.Client, error) {
	c, err := s.client(ctx, id)
	return shown(c), err
}

// ClientWarnings says which addresses of an application this server does not ask, and
// which of its scopes this server does not have.
func (s *Service) ClientWarnings(ctx context.Context, id string) ([]string, error) {
	c, err := s.client(ctx, id)
	if err != nil {
		return nil, err
	}
	return append(s.OAuth.Unasked(ctx, &c), s.strangeScopes(&c)...), nil
}

// Clients returns a page of applications and the cursor of the next, "" if there
// is none.
func (s *Service) Clients(ctx context.Context, p identity.Page) (clients []oauth2.Client, next string, err error) {
	clients, next, err = s.Store.Clients(ctx, page(p))
	if err != nil {
		return nil, "", fmt.Errorf("list clients: %w", err)
	}
	for i := range clients {
		clients[i] = shown(clients[i])
	}
	return clients, next, nil
}

// RotateSecret gives an application a new secret and lets the old ones work for
// in.KeepOld more, at most 30 days.
func (s *Service) RotateSecret(ctx context.Context, id string, in RotateInput) (ClientWithSecret, error) {
	if in.KeepOld < 0 || in.KeepOld > maxKeepOld {
		return ClientWithSecret{}, invalid("keep_old_bounded", "An old secret may go on working for 30 days at most.")
	}
	var out ClientWithSecret
	detail := map[string]string{"keep_old": in.KeepOld.String()}
	err := s.change(ctx, audit.SecretRotated, id, detail, func(ctx context.Context) error {
		c, err := s.client(ctx, id)
		if err != nil {
			return err
		}
		if err := s.guardClient(ctx, c); err != nil {
			return err
		}
		if !c.KeepsSecret() {
			return invalid("client_has_secret", "Client "+id+" authenticates with "+c.AuthMethod+" and has no secret.")
		}
		plain, keep, err := s.secret(c, in.Secret)
		if err != nil {
			return err
		}
		c.Secrets = append(keep, retired(c.Secrets, s.Now().UTC(), in.KeepOld)...)
		if c, err = s.write(ctx, c); err != nil {
			return err
		}
		out = ClientWithSecret{Client: shown(c), Secret: plain}
		return nil
	})
	if err != nil {
		return ClientWithSecret{}, fmt.Errorf("rotate secret of client %s: %w", id, err)
	}
	return out, nil
}

// strangeScopes says which scopes of an application are none of this server's: it
// may ask for them, but no discovery names them and no consent page explains them.
func (s *Service) strangeScopes(c *oauth2.Client) (all []string) {
	for _, scope := range c.Scopes {
		if len(s.Scopes) == 0 || slices.Contains(s.Scopes, scope) {
			continue
		}
		said := "the scope " + scope + " is none of this server's (setting scopes)"
		if best := nearestOf(scope, s.Scopes); best != "" {
			said += "; did you mean " + best + "?"
		}
		all = append(all, said)
	}
	return all
}

func nearestOf(word string, known []string) string {
	best, least := "", len(word)/2+1
	for _, k := range known {
		if d := config.Distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// retired returns those of the old secrets that go on working, and until when.
func retired(old []oauth2.SecretHash, now time.Time, keep time.Duration) []oauth2.SecretHash {
	if keep == 0 {
		return nil
	}
	end := now.Add(keep)
	var out []oauth2.SecretHash
	for _, h := range old {
		if !h.ExpiresAt.IsZero() && !h.ExpiresAt.After(now) {
			continue
		}
		if h.ExpiresAt.IsZero() || h.ExpiresAt.After(end) {
			h.ExpiresAt = end
		}
		out = append(out, h)
	}
	return out
}

// secret returns the secret an application begins with, brought or made, and what
// to keep of it; both are empty for one that has none.
func (s *Service) secret(c oauth2.Client, brought string) (plain string, keep []oauth2.SecretHash, err error) {
	switch {
	case !c.KeepsSecret() && brought != "":
		return "", nil, invalid("client_has_secret", "A client that authenticates with "+c.AuthMethod+" has no secret.")
	case !c.KeepsSecret():
		return "", nil, nil
	case brought == "":
		made, h := s.OAuth.NewSecret(&c)
		return made, []oauth2.SecretHash{h}, nil
	}
	h, err := s.OAuth.KeepSecret(&c, brought)
	if err != nil {
		return "", nil, fmt.Errorf("secret of client %s: %w", c.ID, err)
	}
	return brought, []oauth2.SecretHash{h}, nil
}

// sharedSecretKnown holds a changed application that now shares its secret to
// having one of which more than the hash was kept.
func sharedSecretKnown(c oauth2.Client) error {
	if !c.LacksShared() {
		return nil
	}
	return invalid("client_secret_shared", "HS256 and client_secret_jwt need the secret itself, and only a hash of this client's was kept; "+
		"delete the client and create it again.")
}

// shown is c as it may leave: without its secrets' hashes.
func shown(c oauth2.Client) oauth2.Client {
	c.Secrets = nil
	return c
}

func (s *Service) client(ctx context.Context, id string) (oauth2.Client, error) {
	c, err := s.Store.Client(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return oauth2.Client{}, fault.Missing("client", id)
	}
	if err != nil {
		return oauth2.Client{}, fmt.Errorf("client %s: %w", id, err)
	}
	return c, nil
}

// write replaces an application and returns it as the store has it then.
func (s *Service) write(ctx context.Context, c oauth2.Client) (oauth2.Client, error) {
	if err := s.Store.UpdateClient(ctx, c); err != nil {
		return oauth2.Client{}, fmt.Errorf("write: %w", err)
	}
	return s.client(ctx, c.ID)
}

// change makes a change to an application and records it, or neither.
func (s *Service) change(ctx context.Context, kind audit.Kind, id string, detail map[string]string, f func(ctx context.Context) error) error {
	return s.transact(ctx, func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		return s.record(ctx, kind, id, detail)
	})
}

func (s *Service) record(ctx context.Context, kind audit.Kind, clientID string, detail map[string]string) error {
	return s.Trail.Record(ctx, audit.Event{Kind: kind, Actor: Actor(ctx), ClientID: clientID, Detail: detail})
}

// page bounds a page: 50 rows unless asked otherwise, 200 at most.
func page(p identity.Page) identity.Page {
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, 200)
	return p
}
