package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

const (
	freeMisses   = 5              // wrong passwords in a row before delays begin
	maxDelay     = time.Minute    // the longest delay
	rungs        = freeMisses + 6 // misses until the delay is maxDelay
	rungMemory   = 24 * time.Hour // how long a miss on an account that is not there counts
	lockEvery    = 100            // wrong passwords in a row (NIST SP 800-63B-4 section 3.2.2)
	unknownPlace = "unknown"      // a request without an address is limited too, never free

	noLimit = 1 << 20          // a burst nobody reaches: the bucket counts and refuses nothing
	residue = time.Millisecond // more than looking leaves in a bucket
)

// An attempt is one try to sign in, by what it is limited under. The names are
// hashes: the state behind the limits holds nobody's address in clear.
type attempt struct {
	email   string // "" if it is none
	account string
	address string
}

func newAttempt(ctx context.Context, typed string) attempt {
	email, err := NormalizeEmail(typed)
	if err != nil {
		email = ""
	}
	return attempt{email: email, account: digest(email), address: digest(place(ctx))}
}

// place returns the network the request came from: an IPv4 address or an IPv6
// /64, which one subscriber has as a whole.
func place(ctx context.Context) string {
	addr, _ := audit.Origin(ctx)
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return unknownPlace
	case addr.Is6():
		return netip.PrefixFrom(addr, 64).Masked().String()
	default:
		return addr.String()
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// A bucket is a limit under one name.
type bucket struct {
	name string
	rule ratelimit.Rule
}

// failures returns the buckets a failed attempt is charged to.
func (a attempt) failures() []bucket {
	rules := ratelimit.Defaults()
	return []bucket{{a.address, rules.LoginAddress}, {a.address + ":" + a.account, rules.LoginAccount}}
}

// spray is charged once in three hours for each account an address fails on.
func (a attempt) spray() (seen, spray bucket) {
	return bucket{a.address + ":" + a.account, ratelimit.Rule{Name: "login.seen", Burst: 1, Period: 3 * time.Hour}},
		bucket{a.address, ratelimit.Rule{Name: "login.spray", Burst: 15, Period: 3 * time.Hour / 15}}
}

// fill returns how long the bucket takes to be empty again. It asks for a moment
// of a bucket that holds one moment: refused, and so free, unless it is empty.
func fill(ctx context.Context, src ratelimit.Source, b bucket) (time.Duration, error) {
	left, err := src.Advance(ctx, b.name, ratelimit.Rule{Name: b.rule.Name, Burst: 1, Period: time.Microsecond})
	if err != nil {
		return 0, fmt.Errorf("check limit %s: %w", b.rule.Name, err)
	}
	return left, nil
}

// charge adds one period to the bucket, however full it is.
func charge(ctx context.Context, src ratelimit.Source, b bucket) error {
	_, err := src.Advance(ctx, b.name, ratelimit.Rule{Name: b.rule.Name, Burst: noLimit, Period: b.rule.Period})
	if err != nil {
		return fmt.Errorf("charge limit %s: %w", b.rule.Name, err)
	}
	return nil
}

// allow refuses the attempt if the failures before it filled a bucket. Only
// failures are charged: a thousand people who share an address may sign in.
func (s *Service) allow(ctx context.Context, a attempt) error {
	_, spray := a.spray()
	for _, b := range append(a.failures(), spray) {
		left, err := fill(ctx, s.Limits, b)
		if err != nil {
			return err
		}
		if wait := left - time.Duration(b.rule.Burst-1)*b.rule.Period; wait > residue {
			s.Meter.RateLimited(b.rule.Name)
			return tooMany(b.rule.Name, wait)
		}
	}
	return nil
}

// failed charges the buckets of a failed attempt.
func (s *Service) failed(ctx context.Context, a attempt) error {
	buckets := a.failures()
	seen, spray := a.spray()
	wait, err := s.Limits.Advance(ctx, seen.name, seen.rule)
	if err != nil {
		return fmt.Errorf("charge limit %s: %w", seen.rule.Name, err)
	}
	if wait == 0 {
		buckets = append(buckets, spray)
	}
	for _, b := range buckets {
		if err := charge(ctx, s.Limits, b); err != nil {
			return err
		}
	}
	return nil
}

// delay returns how long after the nth miss in a row the next attempt is refused:
// nothing for the first, then 1, 2, 4 … 60 seconds.
func delay(misses int) time.Duration {
	if misses < freeMisses {
		return 0
	}
	return min(time.Second<<min(misses-freeMisses, 6), maxDelay)
}

// waited refuses the attempt if the delay after the last miss is not over, or if
// others under way with it could be the misses that begin it. now is the clock
// the last miss was stamped by.
func (s *Service) waited(p Password, underWay int, now time.Time) error {
	if underWay > 1 && p.Failures+underWay > freeMisses {
		return s.delayed(max(delay(p.Failures), time.Second))
	}
	return s.delayed(delay(p.Failures) - now.Sub(p.LastFailure))
}

func (s *Service) delayed(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	s.Meter.RateLimited("login.delay")
	return tooMany("login.delay", wait)
}

// climb does for an account without a password what waited does for one with: its
// misses are rungs, buckets of one attempt each, and the delay is a bucket that
// the last miss filled. An operator's scaling of the limits must not tell the two
// apart, so it is taken off.
func (s *Service) climb(ctx context.Context, a attempt) error {
	src := s.Limits
	if scaled, ok := src.(ratelimit.Scaled); ok {
		src = scaled.Source
	}
	left, err := fill(ctx, src, bucket{a.account, ratelimit.Rule{Name: "login.delay"}})
	if err != nil {
		return err
	}
	if left > residue {
		return s.delayed(left)
	}
	misses := 1
	for ; misses < rungs; misses++ {
		name := a.account + ":" + strconv.Itoa(misses)
		taken, err := src.Advance(ctx, name, ratelimit.Rule{Name: "login.miss", Burst: 1, Period: rungMemory})
		if err != nil {
			return fmt.Errorf("count miss: %w", err)
		}
		if taken == 0 {
			break
		}
	}
	if d := delay(misses); d > 0 {
		return charge(ctx, src, bucket{a.account, ratelimit.Rule{Name: "login.delay", Period: d}})
	}
	return nil
}

// tooMany rounds up to whole seconds, which is what Retry-After can say, but for a
// residue.
func tooMany(rule string, wait time.Duration) error {
	wait = (wait + time.Second - residue).Truncate(time.Second)
	return &fault.Error{
		Kind: fault.TooMany, Code: "too_many_attempts", Rule: rule, RetryAfter: wait,
		Detail: "There were too many attempts to sign in; try again later.",
		Facts:  []fault.Fact{{Name: "retry_after", Value: wait.String()}},
	}
}
