package oidc

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// How long an application that does not answer is asked again: long enough for a
// restart or a bad deployment, and an end, because a sign-out of yesterday helps
// nobody.
const (
	giveUpAfter  = 2 * time.Hour
	firstBackoff = 2 * time.Second
	maxBackoff   = 10 * time.Minute
	ofItsAge     = 10 // a row waits for a tenth of the time it has waited already, at most
)

// A verdict says what becomes of a logout after an attempt.
type verdict int

const (
	told  verdict = iota
	later         // the application may do better next time
	never         // it would say the same again
)

// An outcome is what came of an attempt: reason is a word for the trail, status
// the HTTP status, 0 without an answer.
type outcome struct {
	verdict verdict
	reason  string
	status  int
	cause   error // for the log
}

// answers are what an application can say to a logout token, the first that holds.
// It answers 200, 204 in the field, and 400 if it finds the token wrong
// (Back-Channel Logout 1.0 section 2.8).
var answers = []struct {
	reason  string
	holds   func(status int, err error) bool
	verdict verdict
}{
	{"address_refused", func(_ int, err error) bool { return errors.Is(err, fetch.ErrRefused) }, never},
	{"unreachable", func(_ int, err error) bool { return err != nil }, later},
	{"", func(status int, _ error) bool { return status >= 200 && status <= 299 }, told},
	{"failing", func(status int, _ error) bool { return status >= 500 }, later},
	{"busy", func(status int, _ error) bool {
		return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusTooEarly
	}, later},
	{"rejected", func(int, error) bool { return true }, never},
}

// judge says what an answer means.
func judge(status int, err error) outcome {
	for _, a := range answers {
		if a.holds(status, err) {
			return outcome{verdict: a.verdict, reason: a.reason, status: status, cause: err}
		}
	}
	return outcome{verdict: never, status: status} // the last of answers always holds
}

// event tells of the outcome.
func (o outcome) event(kind audit.Kind, l oauth2.Logout) audit.Event {
	e := audit.Event{
		Kind: kind, Actor: identity.System, Subject: l.UserID, ClientID: l.ClientID, Session: l.Session,
		Detail: map[string]string{"attempts": strconv.Itoa(l.Attempt)},
	}
	if o.reason != "" {
		e.Detail["reason"] = o.reason
	}
	if o.status != 0 {
		e.Detail["status"] = strconv.Itoa(o.status)
	}
	return e
}

// backoff is how long to wait after an attempt: twice as long after each, but no
// longer than a part of the age of the sign-out, so that an application that was
// down hears soon after it is back; and between a half and three halves of that, so
// that what failed together does not come back together.
func backoff(attempt int, age time.Duration) time.Duration {
	d := maxBackoff
	if shift := attempt - 1; shift < 10 {
		d = min(firstBackoff<<max(shift, 0), maxBackoff)
	}
	d = min(d, max(age/ofItsAge, firstBackoff))
	var b [8]byte
	_, _ = rand.Read(b[:])                                              // never fails (crypto/rand)
	return d/2 + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(d)) //nolint:gosec // both are positive and small
}
