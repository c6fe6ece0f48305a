package keys

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const day = 24 * time.Hour

// Policy says how keys live. Fields left zero take the value in brackets.
type Policy struct {
	Algs     []string      // signature algorithms kept ready [RS256]; the first is the default
	Encrypt  []string      // RSA-OAEP-256, RSA-OAEP, ECDH-ES: what others may encrypt to us with [none]
	Lifetime time.Duration // from activation to retirement [30 days]
	Publish  time.Duration // published before first use [24 h], never below twice MaxAge
	Retain   time.Duration // kept after retirement: longest token life + 24 h [48 h]
	MaxAge   time.Duration // Cache-Control of the JWKS [15 min]
}

func (p Policy) withDefaults() Policy {
	if len(p.Algs) == 0 {
		p.Algs = []string{RS256}
	}
	p.Algs, p.Encrypt = slices.Clone(p.Algs), slices.Clone(p.Encrypt)
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&p.Lifetime, 30 * day}, {&p.Publish, day}, {&p.Retain, 2 * day}, {&p.MaxAge, 15 * time.Minute}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return p
}

// check says what is wrong with a policy.
func (p Policy) check() error {
	for _, alg := range p.Algs {
		if !slices.Contains([]string{RS256, PS256, ES256, EdDSA}, alg) {
			return fmt.Errorf("keys: no ring signs with %q", alg)
		}
	}
	for _, alg := range p.Encrypt {
		if !slices.Contains([]string{RSAOAEP256, RSAOAEP, ECDHES}, alg) {
			return fmt.Errorf("keys: no ring decrypts %q", alg)
		}
	}
	for i, alg := range p.all() {
		if slices.Contains(p.all()[:i], alg) {
			return fmt.Errorf("keys: %s is given twice", alg)
		}
	}
	if p.Lifetime < 0 || p.Publish < 0 || p.Retain < 0 || p.MaxAge < 0 {
		return errors.New("keys: a policy's durations are positive")
	}
	if p.Lifetime < 2*p.lead() {
		return fmt.Errorf("keys: a key must live at least %s, twice as long as it is published before use", 2*p.lead())
	}
	return nil
}

// lead is how long a key is published before its first use: long enough that
// every copy of the old JWKS has been thrown away.
func (p Policy) lead() time.Duration { return max(p.Publish, 2*p.MaxAge) }

// all returns every algorithm that a key is kept for.
func (p Policy) all() []string { return slices.Concat(p.Algs, p.Encrypt) }
