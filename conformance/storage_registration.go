package conformance

import (
	"context"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func registrationContracts() []contract {
	return []contract{
		{"a registration comes back, and changes", registrationComesBack},
		{"a registration goes with its client", registrationGoes},
		{"use is written when it is an hour old", useIsWritten},
		{"an application with a living grant is not unused", grantsKeepApplications},
		{"of racing callers one claims an unused application", claimRace},
		{"an initial token comes back, the newest first", initialComesBack},
		{"an initial token is spent as often as it is good for", initialSpent},
		{"an initial token that is over is not spent", initialOver},
	}
}

// dynamic inserts an application that registered itself.
func (b *bench) dynamic(id string) oauth2.Registration {
	b.Helper()
	b.must(b.InsertClient(b.Context(), oauth2.Client{ID: id, Type: oauth2.Web, Dynamic: true}))
	r := oauth2.Registration{ClientID: id, TokenHash: oauth2.HashOf(id), InitialToken: "reg-1", Statement: "a.b.c"}
	b.must(b.PutRegistration(b.Context(), r))
	return r
}

func registrationComesBack(b *bench) {
	want := b.dynamic("app")
	got, err := b.Registration(b.Context(), "app")
	b.must(err)
	if got.UsedAt.IsZero() || got.UsedAt.After(b.now()) {
		b.Errorf("used at %v", got.UsedAt)
	}
	got.UsedAt = time.Time{}
	if d := cmp.Diff(want, got); d != "" {
		b.Errorf("registration (-want +got):\n%s", d)
	}
	want.TokenHash, want.Statement, want.InitialToken = oauth2.HashOf("next"), "", ""
	b.must(b.PutRegistration(b.Context(), want))
	got, err = b.Registration(b.Context(), "app")
	b.must(err)
	got.UsedAt = time.Time{}
	if d := cmp.Diff(want, got); d != "" {
		b.Errorf("changed (-want +got):\n%s", d)
	}
	_, err = b.Registration(b.Context(), "nothing")
	b.kind(err, fault.NotFound)
}

func registrationGoes(b *bench) {
	b.dynamic("app")
	b.must(b.DeleteClient(b.Context(), "app"))
	_, err := b.Registration(b.Context(), "app")
	b.kind(err, fault.NotFound)
}

// unusedFor returns the applications unused for so long.
func (b *bench) unusedFor(d time.Duration) []string {
	b.Helper()
	ids, err := b.UnusedClients(b.Context(), d, 10)
	b.must(err)
	return ids
}

func useIsWritten(b *bench) {
	b.dynamic("old")
	first, err := b.Registration(b.Context(), "old")
	b.must(err)
	b.dynamic("young")
	if got := b.unusedFor(time.Hour); len(got) != 0 {
		b.Errorf("unused for an hour: %v", got)
	}
	if got := b.unusedFor(0); !slices.Equal(got, []string{"old", "young"}) {
		b.Errorf("unused, the longest first: %v", got)
	}
	used := func(every time.Duration) time.Time {
		b.must(b.TouchClients(b.Context(), []string{"old", "nobody"}, every))
		r, err := b.Registration(b.Context(), "old")
		b.must(err)
		return r.UsedAt
	}
	if got := used(time.Hour); !got.Equal(first.UsedAt) {
		b.Errorf("written again within the hour: %v, then %v", first.UsedAt, got)
	}
	if got := used(0); !got.After(first.UsedAt) {
		b.Errorf("not written after it: %v, then %v", first.UsedAt, got)
	}
}

func grantsKeepApplications(b *bench) {
	b.dynamic("shop") // as the grants of a bench have it
	g := b.grant("g1")
	b.redeem(g, true)
	if got := b.unusedFor(0); len(got) != 0 {
		b.Errorf("unused: %v", got)
	}
	claimed, err := b.ClaimUnused(b.Context(), "shop", 0)
	b.must(err)
	same(b, "claimed", claimed, false)
	_, err = b.RevokeGrants(b.Context(), "", "shop")
	b.must(err)
	if got := b.unusedFor(0); !slices.Equal(got, []string{"shop"}) {
		b.Errorf("unused without it: %v", got)
	}
}

func claimRace(b *bench) {
	b.dynamic("app")
	claimed, err := b.ClaimUnused(b.Context(), "app", time.Hour)
	b.must(err)
	same(b, "claimed although used", claimed, false)
	oneWinner(b, func(ctx context.Context) (bool, error) { return b.ClaimUnused(ctx, "app", 0) })
}

// initial inserts an initial access token called id, made age ago.
func (b *bench) initial(id string, uses int, age, life time.Duration) oauth2.InitialToken {
	b.Helper()
	made := b.now().Add(-age)
	t := oauth2.InitialToken{ID: id, Name: "for " + id, Hash: oauth2.HashOf(id), MaxUses: uses, CreatedAt: made, ExpiresAt: made.Add(life)}
	b.must(b.InsertInitialToken(b.Context(), t))
	return t
}

func initialComesBack(b *bench) {
	older, newer := b.initial("a", 2, time.Hour, 2*time.Hour), b.initial("b", 1, time.Minute, time.Hour)
	all, err := b.InitialTokens(b.Context())
	b.must(err)
	if d := cmp.Diff([]oauth2.InitialToken{newer, older}, all); d != "" {
		b.Errorf("tokens (-want +got):\n%s", d)
	}
	b.kind(b.InsertInitialToken(b.Context(), older), fault.Conflict)
	for _, want := range []bool{true, false} {
		found, err := b.DeleteInitialToken(b.Context(), "a")
		b.must(err)
		same(b, "found", found, want)
	}
	id, err := b.SpendInitialToken(b.Context(), older.Hash)
	b.must(err)
	same(b, "spent after its end", id, "")
}

func initialSpent(b *bench) {
	t := b.initial("a", 5, 0, time.Hour)
	live, err := b.PeekInitialToken(b.Context(), t.Hash)
	b.must(err)
	same(b, "live", live, true)
	got := contend(b, func(ctx context.Context) (string, error) { return b.SpendInitialToken(ctx, t.Hash) })
	if got["a"] != 5 || got[""] != contenders-5 {
		b.Errorf("outcomes = %v, want 5 of a", got)
	}
	live, err = b.PeekInitialToken(b.Context(), t.Hash)
	b.must(err)
	same(b, "live", live, false)
	all, err := b.InitialTokens(b.Context())
	b.must(err)
	same(b, "uses", all[0].Uses, 5)
}

func initialOver(b *bench) {
	t := b.initial("a", 1, time.Hour, time.Minute)
	live, err := b.PeekInitialToken(b.Context(), t.Hash)
	b.must(err)
	same(b, "live", live, false)
	id, err := b.SpendInitialToken(b.Context(), t.Hash)
	b.must(err)
	same(b, "spent", id, "")
	b.initial("b", 1, 30*24*time.Hour, time.Minute)
	_, err = b.Clean(b.Context(), 100)
	b.must(err)
	all, err := b.InitialTokens(b.Context())
	b.must(err)
	same(b, "kept", len(all), 1)
	same(b, "the recent one", all[0].ID, "a")
}
