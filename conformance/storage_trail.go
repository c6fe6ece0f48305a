package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

func trailContracts() []contract {
	return []contract{
		{"an event comes back as recorded", eventComesBack},
		{"positions have no gap and hashes chain", positionsChain},
		{"racing sequencers give each event one position", sequencersRace},
		{"filters narrow and orders turn", eventFilters},
		{"a reference is found before it has a position", eventReference},
	}
}

// chainLink chains by hashing.
func chainLink(previous string, e audit.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d|%s", previous, e.Position, e.ID))
	return hex.EncodeToString(sum[:])
}

func eventComesBack(b *bench) {
	ctx := b.Context()
	e := audit.Event{
		ID: "0190", Kind: audit.LoginFailed, At: time.Unix(1_700_000_000, 123_000).UTC(), Actor: "user:alice", Subject: "alice", ClientID: "shop",
		Session: "s1", Sessions: []string{"s1", "s2"}, Grant: "g1", CorrelationID: "c", Address: "203.0.113.7", UserAgent: "ua\x00\"",
		Reference: "REF", Detail: map[string]string{"why": "password"}, Trace: []fault.Fact{{Name: "n", Value: "v"}},
	}
	b.must(b.AppendEvents(ctx, e))
	b.must(b.AppendEvents(ctx))
	n, err := b.SequenceEvents(ctx, 10, chainLink)
	b.must(err)
	same(b, "sequenced", n, 1)
	e.Position = 1
	e.Hash = chainLink("", e)
	got, err := b.Events(ctx, audit.Filter{})
	b.must(err)
	if diff := cmp.Diff([]audit.Event{e}, got); diff != "" {
		b.Errorf("events (-want +got):\n%s", diff)
	}
}

func positionsChain(b *bench) {
	ctx := b.Context()
	var events []audit.Event
	for i := range 10 {
		events = append(events, audit.Event{ID: fmt.Sprintf("%02d", 9-i), Kind: audit.UserUpdated, At: b.now()})
	}
	b.must(b.AppendEvents(ctx, events...))
	for _, want := range []int{4, 4, 2, 0} {
		n, err := b.SequenceEvents(ctx, 4, chainLink)
		b.must(err)
		same(b, "sequenced", n, want)
	}
	got, err := b.Events(ctx, audit.Filter{})
	b.must(err)
	previous := ""
	for i, e := range got {
		same(b, "position", e.Position, int64(i+1))
		same(b, "id", e.ID, fmt.Sprintf("%02d", i))
		same(b, "hash", e.Hash, chainLink(previous, e))
		previous = e.Hash
	}
}

func sequencersRace(b *bench) {
	for i := range 200 {
		b.must(b.AppendEvents(b.Context(), audit.Event{ID: fmt.Sprintf("%03d", i), Kind: audit.UserUpdated}))
	}
	contend(b, func(ctx context.Context) (int, error) {
		for {
			if n, err := b.SequenceEvents(ctx, 7, chainLink); err != nil || n == 0 {
				return 0, err
			}
		}
	})
	b.kinds()
	got, err := b.Events(b.Context(), audit.Filter{Limit: 1000})
	b.must(err)
	same(b, "events", len(got), 200)
	for i, e := range got {
		same(b, "position", e.Position, int64(i+1))
	}
}

func eventFilters(b *bench) {
	ctx := b.Context()
	at := b.now().Truncate(time.Second)
	for i, e := range []audit.Event{
		{Kind: audit.LoginFailed, Subject: "alice"},
		{Kind: audit.LoginSucceeded, Subject: "alice", ClientID: "shop"},
		{Kind: audit.LoginFailed, Subject: "bob", ClientID: "shop"},
		{Kind: audit.GrantIssued, Subject: "alice", ClientID: "app", Reference: "REF"},
	} {
		e.ID, e.At = fmt.Sprint(i), at.Add(time.Duration(i)*time.Second)
		b.must(b.AppendEvents(ctx, e))
	}
	_, err := b.SequenceEvents(ctx, 10, chainLink)
	b.must(err)
	for _, c := range []struct {
		name   string
		filter audit.Filter
		want   []int64
	}{
		{"everything", audit.Filter{}, []int64{1, 2, 3, 4}},
		{"newest first", audit.Filter{Newest: true, Limit: 2}, []int64{4, 3}},
		{"after a position", audit.Filter{After: 2}, []int64{3, 4}},
		{"since", audit.Filter{Since: at.Add(2 * time.Second)}, []int64{3, 4}},
		{"of a kind", audit.Filter{Kind: audit.LoginFailed}, []int64{1, 3}},
		{"of a subject and client", audit.Filter{Subject: "alice", ClientID: "shop"}, []int64{2}},
		{"of a reference", audit.Filter{Reference: "REF"}, []int64{4}},
		{"of nothing", audit.Filter{Subject: "carol"}, nil},
	} {
		events, err := b.Events(ctx, c.filter)
		b.must(err)
		var got []int64
		for _, e := range events {
			got = append(got, e.Position)
		}
		if !slices.Equal(got, c.want) {
			b.Errorf("%s: positions %v, want %v", c.name, got, c.want)
		}
	}
}

func eventReference(b *bench) {
	ctx := b.Context()
	b.must(b.AppendEvents(ctx, audit.Event{ID: "1", Kind: audit.RequestRefused, Reference: "REF"}, audit.Event{ID: "2", Kind: audit.RequestRefused, Reference: "OTHER"}))
	got, err := b.Events(ctx, audit.Filter{Reference: "REF"})
	b.must(err)
	if len(got) != 1 || got[0].ID != "1" || got[0].Position != 0 {
		b.Errorf("events = %+v, want the one with the reference", got)
	}
	got, err = b.Events(ctx, audit.Filter{})
	b.must(err)
	same(b, "events with a position", len(got), 0)
}

func keyContracts() []contract {
	return []contract{
		{"keys come back in order of activation", keysComeBack},
		{"of racing nodes one makes the first key", keysRace},
		{"a plan that fails leaves nothing", keysFail},
	}
}

func (b *bench) key(id string) keys.Key {
	b.Helper()
	now := b.now()
	return keys.Key{
		ID: id, Alg: keys.RS256, Public: []byte(`{"kty":"RSA"}`), Private: []byte{1, 2}, CreatedAt: now,
		ActivateAt: now, RetireAt: now.Add(time.Hour), RemoveAt: now.Add(2 * time.Hour),
	}
}

func keysComeBack(b *bench) {
	ctx := b.Context()
	one, two, revoked, gone := b.key("one"), b.key("two"), b.key("revoked"), b.key("gone")
	two.ActivateAt = two.ActivateAt.Add(-time.Minute)
	revoked.RevokedAt = b.now()
	gone.RemoveAt = b.now().Add(-time.Second)
	b.must(b.ChangeKeys(ctx, func(ctx context.Context, have []keys.Key, now time.Time) ([]keys.Key, error) {
		same(b, "keys before", len(have), 0)
		return []keys.Key{one, two, revoked, gone}, b.AppendEvents(ctx, sampleEvent(audit.KeyCreated, ""))
	}))
	got, now, err := b.Keys(ctx)
	b.must(err)
	if diff := cmp.Diff([]keys.Key{two, one}, got); diff != "" || now.IsZero() {
		b.Errorf("keys at %v (-want +got):\n%s", now, diff)
	}
	same(b, "events", b.kinds()[audit.KeyCreated], 1)
}

func keysRace(b *bench) {
	k := b.key("one")
	got := contend(b, func(ctx context.Context) (bool, error) {
		made := false
		err := b.ChangeKeys(ctx, func(_ context.Context, have []keys.Key, _ time.Time) ([]keys.Key, error) {
			if len(have) > 0 {
				return nil, nil
			}
			made = true
			return []keys.Key{k}, nil
		})
		return made, err
	})
	same(b, "nodes that made a key", got[true], 1)
}

func keysFail(b *bench) {
	ctx := b.Context()
	err := b.ChangeKeys(ctx, func(ctx context.Context, _ []keys.Key, _ time.Time) ([]keys.Key, error) {
		return nil, errors.Join(b.AppendEvents(ctx, sampleEvent(audit.KeyCreated, "")), errStop)
	})
	if !errors.Is(err, errStop) {
		b.Errorf("error = %v, want that of the plan", err)
	}
	same(b, "events", b.kinds()[audit.KeyCreated], 0)
}
