package identity

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// The authentication context classes: ACRSingle for one factor, ACRMulti for two
// (the acr claim, OpenID Connect Core section 2).
const (
	ACRSingle = "1"
	ACRMulti  = "2"
)

const (
	tokenSize  = 32 // bytes of a cookie or set-up token
	touchEvery = time.Minute
)

// Begin starts a session for a user who has just proved who they are, and
// returns the cookie value. If previous is a live session of the same user, it is
// renewed under a new cookie value and the same id; otherwise it is ended. The
// oldest sessions beyond Policy.MaxSessions are ended. Fault: Unauthenticated if
// the user was locked meanwhile.
func (s *Service) Begin(ctx context.Context, u User, previous *Session, amr ...string) (Session, string, error) {
	token, hash := newToken()
	next, err := s.begin(ctx, s.fresh(ctx, u, hash, amr), u, previous)
	return next, token, err
}

// BeginOnce is Begin for a form that may have been sent more than once: one attempt
// of one person is one session, under one cookie value, however often it arrives.
func (s *Service) BeginOnce(ctx context.Context, attempt []byte, u User, previous *Session, amr ...string) (Session, string, error) {
	m := hmac.New(sha256.New, s.Key[:])
	_, _ = fmt.Fprintf(m, "session of %s\x00%x", u.ID, attempt) // never fails
	token := base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	hash, _ := tokenHash(token)
	next, err := s.begin(ctx, s.fresh(ctx, u, hash, amr), u, previous)
	if fault.Is(err, fault.Conflict) { // that session is over, and stays so
		return s.Begin(ctx, u, previous, amr...)
	}
	return next, token, err
}

func (s *Service) begin(ctx context.Context, next Session, u User, previous *Session) (Session, error) {
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		standing, err := s.Store.User(ctx, u.ID)
		if err != nil {
			return err
		}
		if standing.Status != Active {
			return &fault.Error{
				Kind: fault.Unauthenticated, Code: "invalid_credentials", Rule: "user_active",
				Detail: "The email address or the password is not right.",
			}
		}
		live, err := s.Store.Sessions(ctx, u.ID)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(live, func(l Session) bool { return bytes.Equal(l.TokenHash, next.TokenHash) }); i >= 0 {
			next = live[i]
			return nil
		}
		renewed, err := s.takeOver(ctx, previous, live)
		if err != nil {
			return err
		}
		if renewed != nil {
			next.ID, next.CreatedAt = renewed.ID, renewed.CreatedAt
		}
		if err := s.makeRoom(ctx, u.ID, next.ID, live); err != nil {
			return err
		}
		if err := s.Store.PutSession(ctx, next); err != nil {
			return err
		}
		e := audit.Event{
			Kind: audit.SessionStarted, Actor: Actor(u.ID), Subject: u.ID, Session: next.ID,
			Detail: map[string]string{"amr": strings.Join(next.AMR, " "), "acr": next.ACR},
		}
		if renewed != nil {
			e.Detail["renewed"] = "true"
		}
		return s.Trail.Record(ctx, e)
	})
	if err != nil {
		return Session{}, fmt.Errorf("begin session of user %s: %w", u.ID, err)
	}
	return next, nil
}

// fresh returns a new session of u, not yet stored.
func (s *Service) fresh(ctx context.Context, u User, tokenHash []byte, amr []string) Session {
	now := s.Now().UTC().Truncate(time.Microsecond)
	address, agent := audit.Origin(ctx)
	next := Session{
		ID: rand.Text(), TokenHash: tokenHash, UserID: u.ID, // 130 random bits
		AMR: slices.Clone(amr), ACR: acr(amr), AuthTime: now.Truncate(time.Second),
		CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.Policy.orDefault().SessionAbsolute),
		UserAgent: agent,
	}
	if address.IsValid() {
		next.Address = address.Unmap().String()
	}
	return next
}

// takeOver returns previous if it is among the live sessions of the same user, to
// be renewed, and else ends it. An ended session never comes back to life.
func (s *Service) takeOver(ctx context.Context, previous *Session, live []Session) (renewed *Session, err error) {
	if previous == nil {
		return nil, nil //nolint:nilnil // nothing to renew is not an error
	}
	if i := slices.IndexFunc(live, func(l Session) bool { return l.ID == previous.ID }); i >= 0 {
		return &live[i], nil
	}
	return nil, s.end(ctx, ending{actor: Actor(previous.UserID), user: previous.UserID, reason: "replaced", ids: []string{previous.ID}})
}

// makeRoom ends the oldest sessions until keep fits beside the others.
func (s *Service) makeRoom(ctx context.Context, userID, keep string, live []Session) error {
	others := slices.DeleteFunc(slices.Clone(live), func(l Session) bool { return l.ID == keep })
	room := s.Policy.orDefault().MaxSessions - 1
	if len(others) <= room {
		return nil
	}
	slices.SortFunc(others, func(a, b Session) int { return b.AuthTime.Compare(a.AuthTime) })
	var ids []string
	for _, o := range others[room:] {
		ids = append(ids, o.ID)
	}
	return s.end(ctx, ending{actor: System, user: userID, reason: "too_many", ids: ids})
}

// acr derives the class from the methods of RFC 8176: "mfa", or two different
// kinds of proof.
func acr(amr []string) string {
	kinds := map[string]string{
		"pwd": "know", "pin": "know", "kba": "know",
		"otp": "have", "hwk": "have", "swk": "have", "sms": "have", "sc": "have", "pop": "have", "tel": "have",
		"fpt": "are", "face": "are", "iris": "are", "retina": "are", "vbm": "are",
	}
	seen := map[string]bool{}
	for _, m := range amr {
		if m == "mfa" {
			return ACRMulti
		}
		if k := kinds[m]; k != "" {
			seen[k] = true
		}
	}
	if len(seen) > 1 {
		return ACRMulti
	}
	return ACRSingle
}

// Resume returns the live session and user of a cookie value; fault.NotFound if
// there is none, fault.Unavailable if it cannot tell. It touches the session at
// most once a minute.
func (s *Service) Resume(ctx context.Context, token string) (Session, User, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return Session{}, User{}, noSession("cookie_shape")
	}
	sess, u, err := s.Store.SessionByToken(ctx, hash)
	switch {
	case fault.Is(err, fault.NotFound):
		return Session{}, User{}, noSession("session_live")
	case err != nil:
		return Session{}, User{}, fmt.Errorf("resume session: %w", err)
	case u.Status != Active:
		return Session{}, User{}, noSession("user_active")
	}
	now := s.Now()
	idle := now.Sub(sess.LastSeenAt)
	switch {
	case !now.Before(sess.ExpiresAt):
		return Session{}, User{}, noSession("session_absolute")
	case idle >= s.Policy.orDefault().SessionIdle:
		return Session{}, User{}, noSession("session_idle")
	case idle >= touchEvery:
		if err := s.Store.TouchSession(ctx, sess.ID); err != nil {
			return Session{}, User{}, fmt.Errorf("touch session %s: %w", sess.ID, err)
		}
		sess.LastSeenAt = now.UTC()
	}
	return sess, u, nil
}

func noSession(rule string) error {
	return &fault.Error{Kind: fault.NotFound, Code: "no_session", Detail: "You are not signed in.", Rule: rule}
}

// End ends sessions of a user (all of them if ids is empty) and records kind
// (audit.SessionEnded or audit.LogoutRequested) if any was live.
func (s *Service) End(ctx context.Context, actor, userID string, kind audit.Kind, ids ...string) error {
	err := s.Store.InTx(ctx, func(ctx context.Context) error {
		return s.end(ctx, ending{actor: actor, user: userID, kind: kind, ids: ids})
	})
	if err != nil {
		return fmt.Errorf("end sessions of user %s: %w", userID, err)
	}
	return nil
}

// An ending says which sessions end and why. No ids means all of the user's.
type ending struct {
	actor, user, reason string
	kind                audit.Kind // "" means audit.SessionEnded
	ids                 []string
}

// end ends and records within the transaction in ctx.
func (s *Service) end(ctx context.Context, x ending) error {
	ended, err := s.Store.EndSessions(ctx, x.user, x.ids...)
	if err != nil || len(ended) == 0 {
		return err
	}
	e := audit.Event{Kind: x.kind, Actor: x.actor, Subject: x.user, Sessions: ended}
	if e.Kind == "" {
		e.Kind = audit.SessionEnded
	}
	if len(ended) == 1 {
		e.Session = ended[0]
	}
	if x.reason != "" {
		e.Detail = map[string]string{"reason": x.reason}
	}
	return s.Trail.Record(ctx, e)
}

// newToken returns 256 random bits for a person to carry, and what is stored of
// them.
func newToken() (token string, hash []byte) {
	token = base64.RawURLEncoding.EncodeToString(random(tokenSize))
	sum := sha256.Sum256([]byte(token))
	return token, sum[:]
}

// tokenHash returns what is stored of token; false if newToken cannot have made it.
func tokenHash(token string) ([]byte, bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return nil, false
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil {
		return nil, false
	}
	sum := sha256.Sum256([]byte(token))
	return sum[:], true
}
