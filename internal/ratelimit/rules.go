package ratelimit

import (
	"context"
	"math"
	"time"
)

// Rules are the limits on attempts that cost nothing to make (security.md §5.3).
// Limits per account that must survive any loss are counted in the database, not
// here.
type Rules struct {
	LoginAddress    Rule // passwords tried from one address
	LoginAccount    Rule // passwords tried from one address for one account
	InvalidClient   Rule // failed client authentications, per client and address
	AuthorizeGuests Rule // authorization requests without a session, per address
	Setup           Rule // visits to a setup link, per address
	SignUp          Rule // registrations, per address
	Register        Rule // applications that register themselves, per address
	Registration    Rule // looks at and changes of what they registered, per address
	DeviceRequests  Rule // devices that ask for a code, per address
	DeviceAddress   Rule // user codes tried from one address
	DeviceSession   Rule // user codes tried by one session
	FetchGuest      Rule // addresses of applications that requests from one address make us ask
	FetchClient     Rule // addresses of one application that requests make us ask
}

// Defaults returns the limits the server has unless told otherwise.
func Defaults() Rules {
	return Rules{
		LoginAddress:    per("login.address", 20, 15*time.Minute),
		LoginAccount:    per("login.account", 5, 15*time.Minute),
		InvalidClient:   per("client.invalid", 10, time.Minute),
		AuthorizeGuests: per("authorize.guest", 60, time.Minute),
		Setup:           per("setup", 10, time.Minute),
		SignUp:          per("signup", 5, time.Hour),
		Register:        per("register", 10, time.Hour),
		Registration:    per("registration", 60, time.Minute),
		DeviceRequests:  per("device.request", 60, time.Minute),
		DeviceAddress:   per("device.address", 20, 10*time.Minute),
		DeviceSession:   per("device.session", 10, 10*time.Minute),
		FetchGuest:      per("fetch.guest", 60, time.Minute),
		FetchClient:     per("fetch.client", 120, time.Minute),
	}
}

// per allows n attempts at once, and n more in every span.
func per(name string, n int, span time.Duration) Rule {
	return Rule{Name: name, Burst: n, Period: span / time.Duration(n)}
}

// Scale returns r with factor times the attempts: 2 allows twice as many, 0.5
// half as many and at least one. A factor that is not above zero changes nothing.
func (r Rule) Scale(factor float64) Rule {
	if !(factor > 0) || math.IsInf(factor, 1) {
		return r
	}
	r.Burst = int(min(max(float64(r.Burst)*factor, 1), 1<<30))
	r.Period = time.Duration(min(max(float64(r.Period)/factor, float64(time.Microsecond)), float64(24*time.Hour)))
	return r
}

// Scaled is a Source that scales every rule by Factor: for load tests, and for
// operators whose people share few addresses.
type Scaled struct {
	Source Source
	Factor float64
}

// Advance implements Source.
func (s Scaled) Advance(ctx context.Context, bucket string, r Rule) (time.Duration, error) {
	return s.Source.Advance(ctx, bucket, r.Scale(s.Factor))
}
