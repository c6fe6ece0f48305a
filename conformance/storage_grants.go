package conformance

import (
	"context"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func grantContracts() []contract {
	return []contract{
		{"a grant comes back as redeemed", grantComesBack},
		{"a grant without refresh has no state", grantWithoutRefresh},
		{"of racing callers one redeems a code", redeemRace},
		{"a second redemption writes nothing", redeemTwice},
		{"a refresh token rotates", rotates},
		{"of racing callers one rotates and the rest repeat", rotateRace},
		{"a token older than its predecessor is a replay", replayOlder},
		{"a predecessor outside the grace window is a replay", replayLate},
		{"of racing replays one revokes", replayRace},
		{"what is over does not rotate", rotateDead},
		{"revoking is idempotent and recorded once", revokeOnce},
		{"revoking many picks the live ones of whom it says", revokeMany},
		{"rotation and revocation race to one end", rotateRevokeRace},
	}
}

func grantComesBack(b *bench) {
	g := b.grant("g1")
	b.redeem(g, true)
	got, state, err := b.Grant(b.Context(), g.ID)
	b.must(err)
	if diff := cmp.Diff(g, got); diff != "" {
		b.Errorf("grant (-want +got):\n%s", diff)
	}
	if state.Generation != 1 || state.RotatedAt.IsZero() || !state.ExpiresAt.Equal(g.ExpiresAt) {
		b.Errorf("state = %+v, want generation 1 until %v", state, g.ExpiresAt)
	}
	_, _, err = b.Grant(b.Context(), "nothing")
	b.kind(err, fault.NotFound)
}

func grantWithoutRefresh(b *bench) {
	g := b.grant("g1")
	g.SecretHash = nil
	b.redeem(g, false)
	got, state, err := b.Grant(b.Context(), g.ID)
	b.must(err)
	if diff := cmp.Diff(g, got); diff != "" {
		b.Errorf("grant (-want +got):\n%s", diff)
	}
	same(b, "state", state, oauth2.RefreshState{})
	same(b, "presenting one", b.rotate("g1", 1, time.Minute), oauth2.Dead)
}

func redeemRace(b *bench) {
	g := b.grant("g1")
	oneWinner(b, func(ctx context.Context) (bool, error) {
		return b.RedeemGrant(ctx, g, true, sampleEvent(audit.GrantIssued, g.ID))
	})
	same(b, "events", b.kinds()[audit.GrantIssued], 1)
}

func redeemTwice(b *bench) {
	g := b.grant("g1")
	b.redeem(g, false)
	g.Subject = "mallory"
	done, err := b.RedeemGrant(b.Context(), g, true, sampleEvent(audit.GrantIssued, g.ID))
	b.must(err)
	same(b, "redeemed", done, false)
	got, state, err := b.Grant(b.Context(), g.ID)
	b.must(err)
	same(b, "subject", got.Subject, "alice")
	same(b, "generation", state.Generation, 0)
	same(b, "events", b.kinds()[audit.GrantIssued], 1)
}

// presented is the token of a generation.
func presented(grant string, generation int, grace time.Duration) oauth2.RotateRequest {
	return oauth2.RotateRequest{
		Grant: grant, Generation: generation, Grace: grace, Idle: time.Hour,
		Event: sampleEvent(audit.GrantRefreshed, grant), Replay: sampleEvent(audit.RefreshReplayed, grant),
	}
}

func (b *bench) rotate(grant string, generation int, grace time.Duration) oauth2.Rotation {
	b.Helper()
	got, err := b.RotateRefresh(b.Context(), presented(grant, generation, grace))
	b.must(err)
	return got
}

func rotates(b *bench) {
	b.redeem(b.grant("g1"), true)
	same(b, "first", b.rotate("g1", 1, time.Minute), oauth2.Rotated)
	same(b, "the same again", b.rotate("g1", 1, time.Minute), oauth2.Repeated)
	same(b, "its successor", b.rotate("g1", 2, time.Minute), oauth2.Rotated)
	same(b, "one from the future", b.rotate("g1", 9, time.Minute), oauth2.Dead)
	_, state, err := b.Grant(b.Context(), "g1")
	b.must(err)
	same(b, "generation", state.Generation, 3)
	same(b, "events", b.kinds()[audit.GrantRefreshed], 2)
}

func rotateRace(b *bench) {
	b.redeem(b.grant("g1"), true)
	got := contend(b, func(ctx context.Context) (oauth2.Rotation, error) {
		return b.RotateRefresh(ctx, presented("g1", 1, time.Minute))
	})
	if got[oauth2.Rotated] != 1 || got[oauth2.Repeated] != contenders-1 {
		b.Errorf("outcomes = %v, want 1 rotated and %d repeated", got, contenders-1)
	}
	_, state, err := b.Grant(b.Context(), "g1")
	b.must(err)
	same(b, "generation", state.Generation, 2)
	same(b, "events", b.kinds()[audit.GrantRefreshed], 1)
}

func replayOlder(b *bench) {
	b.redeem(b.grant("g1"), true)
	b.rotate("g1", 1, time.Minute)
	b.rotate("g1", 2, time.Minute)
	same(b, "the first of three", b.rotate("g1", 1, time.Minute), oauth2.Replayed)
	same(b, "the newest after that", b.rotate("g1", 3, time.Minute), oauth2.Dead)
	b.replayed("g1")
}

// replayed checks what a replay leaves behind.
func (b *bench) replayed(grant string) {
	b.Helper()
	g, _, err := b.Grant(b.Context(), grant)
	b.must(err)
	if g.RevokedAt.IsZero() {
		b.Error("a replay did not revoke the grant")
	}
	same(b, "events", b.kinds()[audit.RefreshReplayed], 1)
}

func replayLate(b *bench) {
	b.redeem(b.grant("g1"), true)
	b.rotate("g1", 1, 0)
	same(b, "without a grace window", b.rotate("g1", 1, 0), oauth2.Replayed)
	b.replayed("g1")
}

func replayRace(b *bench) {
	b.redeem(b.grant("g1"), true)
	b.rotate("g1", 1, 0)
	b.rotate("g1", 2, 0)
	got := contend(b, func(ctx context.Context) (oauth2.Rotation, error) {
		return b.RotateRefresh(ctx, presented("g1", 1, time.Minute))
	})
	if got[oauth2.Replayed] != 1 || got[oauth2.Dead] != contenders-1 {
		b.Errorf("outcomes = %v, want 1 replayed and %d dead", got, contenders-1)
	}
	b.replayed("g1")
}

func rotateDead(b *bench) {
	ctx := b.Context()
	same(b, "an unknown grant", b.rotate("nothing", 1, time.Minute), oauth2.Dead)
	over := b.grant("over")
	over.ExpiresAt = b.now().Add(-time.Second)
	b.redeem(over, true)
	same(b, "a grant past its end", b.rotate("over", 1, time.Minute), oauth2.Dead)
	b.redeem(b.grant("revoked"), true)
	_, err := b.RevokeGrant(ctx, "revoked", sampleEvent(audit.GrantRevoked, "revoked"))
	b.must(err)
	same(b, "a revoked grant", b.rotate("revoked", 1, time.Minute), oauth2.Dead)
	b.redeem(b.grant("idle"), true)
	for begun := b.now(); b.now().Sub(begun) < 2*time.Millisecond; { // the clock of the database has passed Idle
	}
	r := presented("idle", 1, time.Minute)
	r.Idle = time.Millisecond
	got, err := b.RotateRefresh(ctx, r)
	b.must(err)
	same(b, "an idle grant", got, oauth2.Dead)
	r.Idle = 0
	got, err = b.RotateRefresh(ctx, r)
	b.must(err)
	same(b, "one that may idle for ever", got, oauth2.Rotated)
	same(b, "a generation that never was", b.rotate("idle", 1<<40, time.Minute), oauth2.Dead)
}

func revokeOnce(b *bench) {
	b.redeem(b.grant("g1"), true)
	oneWinner(b, func(ctx context.Context) (bool, error) {
		return b.RevokeGrant(ctx, "g1", sampleEvent(audit.GrantRevoked, "g1"))
	})
	done, err := b.RevokeGrant(b.Context(), "nothing", sampleEvent(audit.GrantRevoked, "nothing"))
	b.must(err)
	same(b, "revoked what is not there", done, false)
	same(b, "events", b.kinds()[audit.GrantRevoked], 1)
}

func revokeMany(b *bench) {
	ctx := b.Context()
	for id, who := range map[string][2]string{"a1": {"alice", "shop"}, "a2": {"alice", "app"}, "b1": {"bob", "shop"}, "b2": {"bob", "app"}, "c1": {"carol", "shop"}} {
		g := b.grant(id)
		g.Subject, g.ClientID = who[0], who[1]
		b.redeem(g, true)
	}
	over := b.grant("over")
	over.ExpiresAt = b.now().Add(-time.Second)
	b.redeem(over, true)
	for _, c := range []struct {
		subject, client string
		want            []string
	}{
		{"alice", "shop", []string{"a1"}},
		{"alice", "", []string{"a2"}},
		{"alice", "", nil},
		{"", "shop", []string{"b1", "c1"}},
	} {
		got, err := b.RevokeGrants(ctx, c.subject, c.client)
		b.must(err)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			b.Errorf("revoking of %q and %q revoked %v, want %v", c.subject, c.client, got, c.want)
		}
	}
	if _, err := b.RevokeGrants(ctx, "", ""); err == nil {
		b.Error("revoking of nobody in particular was done")
	}
	live, err := b.Grants(ctx, "bob")
	b.must(err)
	if len(live) != 1 || live[0].ID != "b2" {
		b.Errorf("live grants of bob = %v, want b2", live)
	}
}

func rotateRevokeRace(b *bench) {
	b.redeem(b.grant("g1"), true)
	b.rotate("g1", 1, time.Minute)
	contend(b, func(ctx context.Context) (bool, error) {
		if _, err := b.RotateRefresh(ctx, presented("g1", 2, time.Minute)); err != nil {
			return false, err
		}
		return b.RevokeGrant(ctx, "g1", sampleEvent(audit.GrantRevoked, "g1"))
	})
	g, _, err := b.Grant(b.Context(), "g1")
	b.must(err)
	if g.RevokedAt.IsZero() {
		b.Error("the grant survived its revocation")
	}
	same(b, "the newest after that", b.rotate("g1", 3, time.Minute), oauth2.Dead)
}
