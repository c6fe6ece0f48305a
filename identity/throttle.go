package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/ratelimit"
)

const (
	freeMisses   = 5           // wrong passwords in a row before delays begin
	maxDelay     = time.Minute // the longest delay between two tries
	pauseEvery   = 100         // wrong passwords in a row (NIST SP 800-63B-4 section 3.2.2)
	pause        = time.Hour   // after each pauseEvery of them; it ends by itself
	unknownPlace = "unknown"   // a request without an address is limited too, never free

	noLimit = 1 << 20          // a burst nobody reaches: the bucket counts and refuses nothing
	residue = time.Millisecond // more than looking leaves in a bucket
)

// MissMemory is how long a miss counts after the last one, with an account or
// without.
const MissMemory = 30 * 24 * time.Hour

// An attempt is one try to sign in, by what it is limited under. The names are keyed
// hashes: neither the limits nor the store hold what somebody typed.
type attempt struct {
	email   string // "" if it is none
	account string
	address string
	device  string // "" if the browser has not signed in to the account before
}

// newAttempt names an attempt. What is no address has a name of its own for each
// network: a slip of one person is not counted with another's.
func (s *Service) newAttempt(ctx context.Context, typed string) attempt {
	a := attempt{address: s.mac("address", place(ctx))}
	var err error
	if a.email, err = NormalizeEmail(typed); err != nil {
		a.email, a.account = "", s.mac("typed", place(ctx), strings.TrimSpace(fold(strings.ToValidUTF8(typed, "?"))))
		return a
	}
	a.account = s.mac("account", a.email)
	a.device = s.known(ctx, a.account)
	return a
}

// own is what counts the attempt: the browser it comes from, if that is known, and
// else the account.
func (a attempt) own() string {
	if a.device != "" {
		return a.device
	}
	return a.account
}

func (a attempt) counter() Counter { return Counter{Name: a.own(), Apart: a.device != ""} }

// mac names parts under the key of this server's.
func (s *Service) mac(parts ...string) string {
	m := hmac.New(sha256.New, s.Key[:])
	for _, p := range parts {
		_, _ = fmt.Fprintf(m, "%d:%s", len(p), p) // never fails
	}
	return hex.EncodeToString(m.Sum(nil)[:16])
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

// A bucket is a limit under one name.
type bucket struct {
	name string
	rule ratelimit.Rule
}

// failures returns the buckets a failed attempt is charged to. A browser that is
// known has one of its own: what others do at the same address, or to the same
// account, is not held against it.
func (a attempt) failures() []bucket {
	rules := ratelimit.Defaults()
	if a.device != "" {
		return []bucket{{a.device, rules.LoginAccount}}
	}
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
	buckets := a.failures()
	if a.device == "" {
		_, spray := a.spray()
		buckets = append(buckets, spray)
	}
	for _, b := range buckets {
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
	if a.device == "" {
		seen, spray := a.spray()
		wait, err := s.Limits.Advance(ctx, seen.name, seen.rule)
		if err != nil {
			return fmt.Errorf("charge limit %s: %w", seen.rule.Name, err)
		}
		if wait == 0 {
			buckets = append(buckets, spray)
		}
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
// the last miss was stamped by. Whether there is an account makes no difference.
func (s *Service) waited(ctx context.Context, l lookedUp, underWay int) error {
	p, since := l.p, l.now.Sub(l.p.LastFailure)
	if since > MissMemory {
		p.Failures = 0
	}
	if underWay > 1 && p.Failures+underWay > freeMisses {
		return s.delayed(max(delay(p.Failures), time.Second))
	}
	wait := delay(p.Failures)
	if p.Failures > 0 && p.Failures%pauseEvery == 0 && since < pause {
		alone, err := s.alone(ctx, l.u)
		if err != nil {
			return err
		}
		if !alone {
			wait = pause
		}
	}
	return s.delayed(wait - since)
}

// alone reports whether u is the only administrator who may sign in: strangers must
// not be able to keep the last one out.
func (s *Service) alone(ctx context.Context, u User) (bool, error) {
	if !slices.Contains(u.Roles, RoleAdmin) {
		return false, nil
	}
	ids, err := s.Store.ActiveWithRole(ctx, RoleAdmin)
	if err != nil {
		return false, fmt.Errorf("look for other administrators: %w", err)
	}
	return len(ids) == 1 && ids[0] == u.ID, nil
}

func (s *Service) delayed(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	s.Meter.RateLimited("login.delay")
	return tooMany("login.delay", wait)
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
