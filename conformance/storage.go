package conformance

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/oidc"
)

// Stores is every Store of the program and what the store itself promises.
type Stores interface {
	admin.InitialTokens
	audit.Store
	consent.Store
	identity.Store
	keys.Store
	oauth2.Store
	oauth2.UsageStore
	oidc.RegistrationStore
	oauth2.LogoutStore
	Now(ctx context.Context) (time.Time, error)
	Clean(ctx context.Context, limit int) (deleted int, err error)
	Listen(ctx context.Context, f func(topic string)) error
}

// contenders is how many callers race wherever only one may win.
const contenders = 32

// Storage is the contract of the Stores, whatever database they stand on. open
// returns an empty one, which ends with the test.
func Storage(t *testing.T, open func(t *testing.T) Stores) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []contract
	}{
		{"users", userContracts()},
		{"sessions", sessionContracts()},
		{"clients", clientContracts()},
		{"registrations", registrationContracts()},
		{"grants", grantContracts()},
		{"what a grant stands on", basisContracts()},
		{"devices", deviceContracts()},
		{"standing", standingContracts()},
		{"logouts", logoutContracts()},
		{"keys", keyContracts()},
		{"trail", trailContracts()},
		{"bell", bellContracts()},
		{"cleaning", cleanContracts()},
		{"transactions", txContracts()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.tests {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(&bench{t, open(t)})
				})
			}
		})
	}
}

// A contract is one promise and its proof.
type contract struct {
	name string
	test func(b *bench)
}

// bench is a store under test.
type bench struct {
	*testing.T
	Stores
}

// now is the database's clock.
func (b *bench) now() time.Time {
	b.Helper()
	now, err := b.Now(b.Context())
	b.must(err)
	return now
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// kind checks that err is a fault of kind k.
func (b *bench) kind(err error, k fault.Kind) {
	b.Helper()
	if !fault.Is(err, k) {
		b.Fatalf("error = %v, want a fault of kind %d", err, k)
	}
}

// same compares what a reader would call equal.
func same[T comparable](b *bench, what string, got, want T) {
	b.Helper()
	if got != want {
		b.Errorf("%s = %v, want %v", what, got, want)
	}
}

// contend runs f at once from every racer and returns how often each outcome came.
func contend[T comparable](b *bench, f func(ctx context.Context) (T, error)) map[T]int {
	b.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	outcomes := map[T]int{}
	start := make(chan struct{})
	for range contenders {
		all.Go(func() {
			<-start
			got, err := f(b.Context())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				b.Errorf("a racer failed: %v", err)
				return
			}
			outcomes[got]++
		})
	}
	close(start)
	all.Wait()
	return outcomes
}

// oneWinner checks that of all contenders exactly one got true.
func oneWinner(b *bench, f func(ctx context.Context) (bool, error)) {
	b.Helper()
	if got := contend(b, f); got[true] != 1 || got[false] != contenders-1 {
		b.Errorf("outcomes = %v, want one true and %d false", got, contenders-1)
	}
}

// user inserts a user called name.
func (b *bench) user(name string) identity.User {
	b.Helper()
	u := identity.User{
		ID: "00000000-0000-7000-8000-" + hexName(name), Email: name + "@example.com", EmailVerified: true, Status: identity.Active,
		Roles: []string{"staff"}, Profile: identity.Profile{Name: name + " Doe", Address: &identity.Address{Country: "NL"}},
	}
	b.must(b.InsertUser(b.Context(), u))
	return u
}

// hexName makes the last group of a UUID from a name.
func hexName(name string) string {
	const digits = "0123456789abcdef"
	sum := sha256.Sum256([]byte(name))
	text := make([]byte, 12)
	for i := range text {
		text[i] = digits[sum[i]&15]
	}
	return string(text)
}

// session starts a session of u called id.
func (b *bench) session(u identity.User, id string) identity.Session {
	b.Helper()
	now := b.now()
	hash := sha256.Sum256([]byte(id))
	s := identity.Session{
		ID: id, TokenHash: hash[:], UserID: u.ID, AMR: []string{"pwd"}, ACR: "1", AuthTime: now.Truncate(time.Second),
		CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(time.Hour), Address: "203.0.113.7", UserAgent: "test",
	}
	b.must(b.PutSession(b.Context(), s))
	return s
}

// grant is a grant, not yet redeemed, that lives for an hour.
func (b *bench) grant(id string) oauth2.Grant {
	b.Helper()
	now := b.now()
	return oauth2.Grant{
		ID: id, ClientID: "shop", Subject: "alice", Session: "s1", Scopes: []string{"openid", "email"}, Audience: []string{"https://api.example.com"},
		Nonce: "n", AuthTime: now.Truncate(time.Second), AMR: []string{"pwd"}, ACR: "1", Offline: true, SecretHash: []byte{1, 2, 3},
		Claims:    oauth2.Claims{IDToken: []string{"email"}, Userinfo: []string{"name"}},
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

// redeem stores g.
func (b *bench) redeem(g oauth2.Grant, withRefresh bool) {
	b.Helper()
	done, err := b.RedeemGrant(b.Context(), g, withRefresh, sampleEvent(audit.GrantIssued, g.ID))
	b.must(err)
	if !done {
		b.Fatalf("grant %s was redeemed before", g.ID)
	}
}

// sampleEvent is an event about the grant called id; the Store gives it an id.
func sampleEvent(kind audit.Kind, grant string) audit.Event {
	return audit.Event{Kind: kind, At: time.Unix(1_700_000_000, 0).UTC(), Actor: "system", Grant: grant, ClientID: "shop"}
}

// kinds sequences the trail and counts its events by kind.
func (b *bench) kinds() map[audit.Kind]int {
	b.Helper()
	for {
		n, err := b.SequenceEvents(b.Context(), 100, func(previous string, e audit.Event) string { return previous + "." + strconv.FormatInt(e.Position, 10) })
		b.must(err)
		if n == 0 {
			break
		}
	}
	events, err := b.Events(b.Context(), audit.Filter{Limit: 1000})
	b.must(err)
	counts := map[audit.Kind]int{}
	for _, e := range events {
		counts[e.Kind]++
	}
	return counts
}

var errStop = errors.New("stop")
