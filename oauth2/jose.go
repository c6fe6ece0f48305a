package oauth2

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// secured says how a JWT to a client is made: signed, and then encrypted if encAlg
// is set (RFC 7519 section 5.2, a nested JWT).
type secured struct{ alg, typ, encAlg, enc string }

// clientKeys is where the public keys of c are.
func clientKeys(c *Client) keys.ClientKeys { return keys.ClientKeys{JWKS: c.JWKS, URI: c.JWKSURI} }

// sealFor makes a JWT that c can believe, and only c can read if it asked for that.
func (p *Provider) sealFor(ctx context.Context, c *Client, how secured, payload []byte) (string, error) {
	token, err := p.signFor(ctx, c, how.alg, how.typ, payload)
	if err != nil || how.encAlg == "" {
		return token, err
	}
	sealed, err := p.cfg.ClientKeys.Encrypt(fetchFor(ctx, c), clientKeys(c), keys.Encryption{Alg: how.encAlg, Enc: how.enc}, "JWT", []byte(token))
	if err != nil {
		return "", keysAway(c, fault.Invalid, "invalid_client", err)
	}
	return sealed, nil
}

// signFor signs with the ring, or with c's own secret where it registered HS256.
func (p *Provider) signFor(ctx context.Context, c *Client, alg, typ string, payload []byte) (string, error) {
	if alg != HS256 {
		return p.cfg.Keys.Sign(ctx, alg, typ, payload)
	}
	secrets, err := p.sharedSecrets(c)
	if err != nil {
		return "", err
	}
	if len(secrets) == 0 {
		return "", fmt.Errorf("client %s signs with HS256 and has no secret", c.ID)
	}
	return secrets[0].Sign(typ, payload)
}

// fetchFor counts the fetches of ctx against c.
func fetchFor(ctx context.Context, c *Client) context.Context {
	return fetch.For(ctx, c.ID, c.Dynamic)
}

// keysAway tells that a client's keys could not be had. That is the client's doing,
// who chose where they are, and no outage of ours.
func keysAway(c *Client, kind fault.Kind, code string, err error) error {
	return (&fault.Error{
		Kind: kind, Code: code, Rule: "client_keys_reachable",
		Detail: "The application's keys could not be read from its jwks_uri.", Err: err,
	}).With("client_id", c.ID)
}

// errNotTheirs means a JWT is not signed by the client it is held to be from.
var errNotTheirs = errors.New("oauth2: not signed by the client")

// errKeysAway means that this cannot be told, because its keys could not be had.
var errKeysAway = errors.New("oauth2: the client's keys could not be had")

// fromClient returns what c signed with one of algs, by its keys. The error wraps
// errNotTheirs or errKeysAway.
func (p *Provider) fromClient(ctx context.Context, c *Client, token string, algs []string) ([]byte, keys.Header, error) {
	payload, head, err := p.cfg.ClientKeys.Verify(fetchFor(ctx, c), clientKeys(c), token, algs)
	switch {
	case err == nil:
		return payload, head, nil
	case errors.Is(err, keys.ErrKeySet) && c.JWKSURI != "":
		return nil, head, fmt.Errorf("%w: %w", errKeysAway, err)
	default:
		return nil, head, fmt.Errorf("%w: %w", errNotTheirs, err)
	}
}

// fromSecret is fromClient for what c signed with its secret (HS256).
func (p *Provider) fromSecret(c *Client, token string) ([]byte, keys.Header, error) {
	secrets, err := p.sharedSecrets(c)
	if err != nil {
		return nil, keys.Header{}, err
	}
	for _, s := range secrets {
		if payload, head, err := s.Verify(token); err == nil {
			return payload, head, nil
		}
	}
	return nil, keys.Header{}, fmt.Errorf("%w: not with a secret of it", errNotTheirs)
}

// openObject decrypts a request object if it is encrypted, as RFC 9101 section 6.1
// has it: signed first, then encrypted. It holds both to what c registered.
func (p *Provider) openObject(ctx context.Context, c *Client, token string) ([]byte, keys.Header, error) {
	if keys.IsEncrypted(token) {
		inner, head, err := p.cfg.Keys.Decrypt(ctx, token)
		if errors.Is(err, keys.ErrEncryption) {
			return nil, head, fmt.Errorf("%w: %w", errNotTheirs, err)
		}
		if err != nil {
			return nil, head, err
		}
		if c.RequestObjectEncAlg != "" && (head.Alg != c.RequestObjectEncAlg || head.Enc != or(c.RequestObjectEnc, head.Enc)) {
			return nil, head, fmt.Errorf("%w: encrypted with %s, registered is %s", errNotTheirs, head.Alg, c.RequestObjectEncAlg)
		}
		token = string(inner)
	} else if c.RequestObjectEncAlg != "" {
		return nil, keys.Header{}, fmt.Errorf("%w: not encrypted, and registered as encrypted", errNotTheirs)
	}
	algs := requestObjectAlgs
	if c.RequestObjectAlg != "" {
		algs = []string{c.RequestObjectAlg}
	}
	return p.fromClient(ctx, c, token, algs)
}

// encryptionKnown holds every encryption to what this server can do with the keys
// that were registered.
func encryptionKnown(p *Provider, c *Client) string {
	for _, e := range [...]struct{ name, alg, enc string }{
		{"id_token", c.IDTokenEncAlg, c.IDTokenEnc},
		{"userinfo", c.UserinfoEncAlg, c.UserinfoEnc},
		{"authorization", c.AuthorizationEncAlg, c.AuthorizationEnc},
		{"introspection", c.IntrospectionEncAlg, c.IntrospectionEnc},
	} {
		if e.alg == "" {
			if e.enc != "" {
				return "The " + e.name + " encryption names its content and no algorithm."
			}
			continue
		}
		how := keys.Encryption{Alg: e.alg, Enc: e.enc}
		if err := how.Check(); err != nil {
			return "The " + e.name + " encryption is none we know: " + err.Error() + "."
		}
		if c.JWKSURI != "" {
			continue // looked at when it is needed
		}
		if err := keys.CheckEncryption(c.JWKS, how); err != nil {
			return "The " + e.name + " encryption does not fit the registered keys: " + err.Error() + "."
		}
	}
	if a := c.RequestObjectEncAlg; a != "" && !slices.Contains(p.cfg.Keys.EncryptionAlgs(), a) {
		return "The encryption algorithms of request objects are " + strings.Join(p.cfg.Keys.EncryptionAlgs(), ", ") + "."
	}
	return ""
}

// headerType returns the typ a compact JWS says it has, "" if it is none; nothing
// is believed yet.
func headerType(token string) string {
	head, _, ok := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		Typ string `json:"typ"`
	}
	if !ok || err != nil || json.Unmarshal(raw, &h) != nil {
		return ""
	}
	return h.Typ
}

// unverified returns the algorithm and the claims of a compact JWS without
// believing either: for choosing whose key must have signed it.
func unverified(token string) (alg string, claims []byte) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 16<<10 {
		return "", nil
	}
	head, errHead := base64.RawURLEncoding.DecodeString(parts[0])
	claims, errClaims := base64.RawURLEncoding.DecodeString(parts[1])
	var h struct {
		Alg string `json:"alg"`
	}
	if errHead != nil || errClaims != nil || json.Unmarshal(head, &h) != nil {
		return "", nil
	}
	return h.Alg, claims
}
