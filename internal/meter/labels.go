package meter

import (
	"maps"
	"sync"
	"sync/atomic"
)

// children keeps the metric behind each set of labels, so that the hot path
// neither hashes strings nor allocates: reading is one map look-up in a map
// nobody writes to, and a new set of labels replaces the map.
type children[K comparable, M any] struct {
	resolve func(K) M
	mu      sync.Mutex
	known   atomic.Pointer[map[K]M]
}

func (c *children[K, M]) of(k K) M {
	if known := c.known.Load(); known != nil {
		if m, ok := (*known)[k]; ok {
			return m
		}
	}
	return c.add(k)
}

func (c *children[K, M]) add(k K) M {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]M{}
	if known := c.known.Load(); known != nil {
		if m, ok := (*known)[k]; ok {
			return m
		}
		next = maps.Clone(*known)
	}
	m := c.resolve(k)
	next[k] = m
	c.known.Store(&next)
	return m
}

// knownMethod returns method, or "other" for one the program serves nowhere.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return other
}

// knownGrant returns the short name of an OAuth grant type, or "other".
func knownGrant(grant string) string {
	switch grant {
	case "authorization_code", "refresh_token", "client_credentials":
		return grant
	case "urn:ietf:params:oauth:grant-type:device_code":
		return "device_code"
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		return "token_exchange"
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return "jwt_bearer"
	}
	return other
}

// knownError returns code if it is in the OAuth registry of token errors
// (RFC 6749 section 5.2, RFC 8628 section 3.5, RFC 9449 section 5, RFC 8707
// section 2) or one of the two the program adds for its own trouble.
func knownError(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied",
		"authorization_pending", "slow_down", "expired_token", "invalid_dpop_proof", "use_dpop_nonce",
		"server_error", "temporarily_unavailable":
		return code
	}
	return other
}
