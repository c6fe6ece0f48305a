package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A grant is written on what is there while it is written, whatever a cache says.
func basisContracts() []contract {
	return []contract{
		{"a grant is written on what is there", grantOnBasis},
		{"a grant without a session or a consent needs none", grantOnLess},
		{"a code spent before is told from one that has lost its basis", spentBeforeBasis},
		{"a refresh token rotates on what is there", rotateOnBasis},
		{"what is taken away while a grant is written takes the grant along", basisRaces},
		{"a client made again is another registration", registrationAnew},
	}
}

// a ground is what a grant of the tests is written on.
type ground struct {
	*bench

	user    identity.User
	session identity.Session
}

// ground makes a client, a person, their session and their consent.
func (b *bench) ground() *ground { b.Helper(); return b.again("s1") }

// grant is one of the person's, with the basis it has now.
func (g *ground) grant(id string) oauth2.Grant {
	g.Helper()
	out := g.bench.grant(id)
	out.Subject = g.user.ID
	out.Basis = g.basis()
	return out
}

func (g *ground) basis() *oauth2.Basis {
	g.Helper()
	c, err := g.Client(g.Context(), "shop")
	g.must(err)
	return &oauth2.Basis{Version: c.UpdatedAt, Registration: c.Registration, Consent: true, Session: true}
}

// takings are the ways a basis goes away, and what a statement that wanted it says.
func takings() map[string]struct {
	take func(g *ground)
	want error
} {
	type taking = struct {
		take func(g *ground)
		want error
	}
	status := func(s identity.Status) func(g *ground) {
		return func(g *ground) {
			u := g.user
			u.Status = s
			g.must(g.UpdateUser(g.Context(), u))
		}
	}
	return map[string]taking{
		"the client was changed": {func(g *ground) { g.must(g.UpdateClient(g.Context(), sampleClient("shop"))) }, oauth2.ErrClientChanged},
		"the client was deleted": {func(g *ground) { g.must(g.DeleteClient(g.Context(), "shop")) }, oauth2.ErrClientChanged},
		"the client was made again": {func(g *ground) {
			g.must(g.DeleteClient(g.Context(), "shop"))
			g.must(g.InsertClient(g.Context(), sampleClient("shop")))
			g.must(g.PutConsent(g.Context(), consent.Consent{UserID: g.user.ID, ClientID: "shop", Scopes: []string{"openid", "email"}}))
		}, oauth2.ErrClientChanged},
		"the person was locked":  {status(identity.Locked), oauth2.ErrBasisGone},
		"the person was deleted": {func(g *ground) { g.must(g.DeleteUser(g.Context(), g.user.ID)) }, oauth2.ErrBasisGone},
		"the session was ended": {func(g *ground) {
			_, err := g.EndSessions(g.Context(), g.user.ID)
			g.must(err)
		}, oauth2.ErrBasisGone},
	}
}

func grantOnBasis(b *bench) {
	g := b.ground()
	b.redeem(g.grant("well"), true)
	got, _, err := b.Grant(b.Context(), "well")
	b.must(err)
	if got.Basis != nil {
		b.Errorf("the basis was kept: %+v", got.Basis)
	}

	wide := g.grant("wide")
	wide.Scopes = append(wide.Scopes, "phone")
	g.refused("more than was allowed", wide, oauth2.ErrBasisGone)
	b.must(b.DeleteConsent(b.Context(), g.user.ID, "shop"))
	g.refused("the consent was withdrawn", g.grant("withdrawn"), oauth2.ErrBasisGone)
	b.must(b.PutConsent(b.Context(), consent.Consent{UserID: g.user.ID, ClientID: "shop", Scopes: []string{"email", "openid", "phone"}}))
	b.redeem(g.grant("allowed again"), true)

	other := b.user("bob")
	another := g.grant("another's session")
	another.Subject = other.ID
	b.must(b.PutConsent(b.Context(), consent.Consent{UserID: other.ID, ClientID: "shop", Scopes: []string{"openid", "email"}}))
	g.refused("another's session", another, oauth2.ErrBasisGone)

	for name, c := range takings() {
		g = b.again(name)
		grant := g.grant("of " + name)
		c.take(g)
		g.refused(name, grant, c.want)
	}
}

// again is ground once more, in a session called name.
func (b *bench) again(name string) *ground {
	b.Helper()
	for _, err := range []error{b.DeleteClient(b.Context(), "shop"), b.DeleteUser(b.Context(), "00000000-0000-7000-8000-"+hexName("alice"))} {
		if !fault.Is(err, fault.NotFound) {
			b.must(err)
		}
	}
	b.must(b.InsertClient(b.Context(), sampleClient("shop")))
	u := b.user("alice")
	g := &ground{b, u, b.session(u, name)}
	b.must(b.PutConsent(b.Context(), consent.Consent{UserID: u.ID, ClientID: "shop", Scopes: []string{"openid", "email"}}))
	return g
}

// refused wants a redemption to fail with want, in both forms, and to write nothing.
func (g *ground) refused(name string, grant oauth2.Grant, want error) {
	g.Helper()
	grant.Session = g.session.ID
	for _, hears := range []bool{false, true} {
		grant.Hears = hears
		done, err := g.RedeemGrant(g.Context(), grant, true, sampleEvent(audit.GrantIssued, grant.ID))
		if done || !errors.Is(err, want) {
			g.Errorf("%s, hearing %t: %t %v, want %v", name, hears, done, err, want)
		}
	}
	_, _, err := g.Grant(g.Context(), grant.ID)
	g.kind(err, fault.NotFound)
}

func grantOnLess(b *bench) {
	g := b.ground()
	b.must(b.DeleteConsent(b.Context(), g.user.ID, "shop"))
	first := g.grant("first party")
	first.Basis.Consent = false
	b.redeem(first, true)
	bearer := g.grant("assertion")
	bearer.Session, bearer.Basis.Consent = "", false
	b.redeem(bearer, false)
}

func spentBeforeBasis(b *bench) {
	g := b.ground()
	grant := g.grant("g1")
	b.redeem(grant, true)
	b.must(b.UpdateClient(b.Context(), sampleClient("shop")))
	b.must(b.DeleteConsent(b.Context(), g.user.ID, "shop"))
	done, err := b.RedeemGrant(b.Context(), grant, true, sampleEvent(audit.GrantIssued, "g1"))
	b.must(err)
	same(b, "redeemed", done, false)
}

func rotateOnBasis(b *bench) {
	for name, c := range takings() {
		g := b.again("rotate: " + name)
		grant := g.grant("of " + name)
		grant.Session = g.session.ID
		b.redeem(grant, true)
		r := presented(grant.ID, 1, time.Minute)
		r.Basis = g.basis()
		got, err := b.RotateRefresh(b.Context(), r)
		b.must(err)
		same(b, name+", before", got, oauth2.Rotated)
		r.Generation = 2
		c.take(g)
		got, err = b.RotateRefresh(b.Context(), r)
		changed := errors.Is(c.want, oauth2.ErrClientChanged) && name == "the client was changed" // deleting revokes the grant too
		if got != oauth2.Dead || errors.Is(err, oauth2.ErrClientChanged) != changed || err != nil && !changed {
			b.Errorf("%s: %v %v", name, got, err)
		}
	}
	g := b.again("offline")
	grant := g.grant("offline")
	grant.Session = g.session.ID
	b.redeem(grant, true)
	_, err := b.EndSessions(b.Context(), g.user.ID)
	b.must(err)
	r := presented(grant.ID, 1, time.Minute)
	r.Basis = g.basis()
	r.Basis.Session = false
	got, err := b.RotateRefresh(b.Context(), r)
	b.must(err)
	same(b, "what outlives its session", got, oauth2.Rotated)
}

// basisRaces: whichever comes first, nothing is left that lives without its basis.
func basisRaces(b *bench) {
	const rounds = 12
	ctx := b.Context()
	for name, take := range map[string]func(ctx context.Context, g *ground) error{
		"consent": func(ctx context.Context, g *ground) error {
			return b.InTx(ctx, func(ctx context.Context) error {
				if err := b.DeleteConsent(ctx, g.user.ID, "shop"); err != nil {
					return err
				}
				_, err := b.RevokeGrants(ctx, g.user.ID, "shop")
				return err
			})
		},
		"reset": func(ctx context.Context, g *ground) error {
			return b.InTx(ctx, func(ctx context.Context) error {
				if _, err := b.EndSessions(ctx, g.user.ID); err != nil {
					return err
				}
				_, err := b.RevokeGrants(ctx, g.user.ID, "")
				return err
			})
		},
	} {
		for round := range rounds {
			id := name + " " + string(rune('a'+round))
			g := b.again(id)
			grant := g.grant(id)
			grant.Session = g.session.ID
			var both sync.WaitGroup
			both.Go(func() {
				if _, err := b.RedeemGrant(ctx, grant, true, sampleEvent(audit.GrantIssued, id)); err != nil && !errors.Is(err, oauth2.ErrBasisGone) {
					b.Errorf("%s: redeem: %v", id, err)
				}
			})
			both.Go(func() { b.must(take(ctx, g)) })
			both.Wait()
			live, err := b.Grants(ctx, g.user.ID)
			b.must(err)
			same(b, id+": grants left", len(live), 0)
		}
	}
}

func registrationAnew(b *bench) {
	ctx := b.Context()
	g := b.ground()
	first := g.basis().Registration
	b.must(b.DeleteClient(ctx, "shop"))
	b.must(b.InsertClient(ctx, sampleClient("shop")))
	if second := g.basis().Registration; second == first || second == "" {
		b.Errorf("the registration is %q, and was %q", second, first)
	}
	_, err := b.Consent(ctx, g.user.ID, "shop")
	b.kind(err, fault.NotFound)
	late := consent.Consent{UserID: g.user.ID, ClientID: "shop", Scopes: []string{"openid"}, Registration: first}
	b.kind(b.PutConsent(ctx, late), fault.NotFound)
	late.Registration = g.basis().Registration
	b.must(b.PutConsent(ctx, late))
}
