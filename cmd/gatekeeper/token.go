package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const maxToken = 64 << 10

func (a *app) tokenCommand() *cobra.Command {
	c := group("token", "Tokens that were handed out", a.tokenIntrospect(), a.tokenRevoke(), a.tokenDecode())
	c.Long = "Tokens that were handed out. A TOKEN of - is read from standard input, where no other\nprocess and no history sees it."
	c.Example = "  gatekeeper token introspect - < token\n  gatekeeper token decode eyJhbGciOi…"
	return c
}

// readToken returns the token an argument stands for.
func (a *app) readToken(arg string) (string, error) {
	if arg != "-" {
		return strings.TrimSpace(arg), nil
	}
	text, err := a.readFile("-", maxToken)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", usagef("standard input holds no token")
	}
	return token, nil
}

func (a *app) tokenIntrospect() *cobra.Command {
	return &cobra.Command{
		Use: "introspect TOKEN", Aliases: []string{"inspect"}, Short: "Say what an access or refresh token is good for now",
		Example: "  gatekeeper token introspect - < token\n  gatekeeper token introspect \"$TOKEN\" -o json | jq .active",
		Args:    exactly("a token (- is standard input)"),
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			token, err := a.readToken(args[0])
			if err != nil {
				return err
			}
			info, err := b.InspectToken(ctx, token)
			if err != nil {
				return err
			}
			return a.print(view{value: info, names: []string{map[bool]string{true: "active", false: "inactive"}[info.Active]}, table: func(t *table) {
				if !info.Active {
					t.field("ACTIVE", "no", "unknown, expired, revoked, or its user, session or client is gone")
					return
				}
				t.field("ACTIVE", "yes", "expires in "+span(info.ExpiresAt.Sub(a.Now())))
				t.field("KIND", info.Kind)
				t.field("CLIENT", info.ClientID)
				t.field("SUBJECT", info.Subject)
				t.field("SESSION", info.Session)
				t.field("GRANT", info.Grant)
				t.field("SCOPES", strings.Join(info.Scopes, " "))
				t.each("AUDIENCE", info.Audience)
				t.field("ISSUED", moment(info.IssuedAt))
			}})
		}),
	}
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN", Short: "Make a token worthless: an access token alone, a refresh token with its grant",
		Example: "  gatekeeper token revoke - < leaked-token",
		Args:    exactly("a token (- is standard input)"),
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			token, err := a.readToken(args[0])
			if err != nil {
				return err
			}
			done, err := b.RevokeToken(ctx, token)
			if err != nil {
				return err
			}
			switch {
			case done.Already:
				a.say("It was worthless before: its grant is revoked or gone.")
			case done.Kind == "refresh":
				a.say("The grant %s is revoked: this refresh token, those before and after it, and its access tokens are worthless now.", done.Grant)
			default:
				a.say("This access token is worthless now. Its grant and other tokens live on.")
			}
			return nil
		}),
	}
}

func (a *app) tokenDecode() *cobra.Command {
	return &cobra.Command{
		Use: "decode TOKEN", Short: "Show what a JWT says, without a server and without believing it",
		Example: "  gatekeeper token decode \"$ID_TOKEN\"\n  gatekeeper token decode - -o json < token | jq .claims.aud",
		Args:    exactly("a token (- is standard input)"),
		RunE: func(_ *cobra.Command, args []string) error {
			token, err := a.readToken(args[0])
			if err != nil {
				return err
			}
			d, err := decodeJWT(token)
			if err != nil {
				return err
			}
			a.say("The signature is not checked: `gatekeeper token introspect` does that.")
			return a.print(d.view(a.Now()))
		},
	}
}

// A decodedToken is what a JWT says about itself.
type decodedToken struct {
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
}

var errNotJWT = errors.New("not a JWT: it does not have three parts of base64url JSON")

// decodeJWT takes a compact JWS (RFC 7515 section 7.1) apart and checks nothing.
func decodeJWT(token string) (decodedToken, error) {
	parts := strings.Split(token, ".")
	if strings.HasPrefix(token, "gk_") {
		return decodedToken{}, usagef("this is an opaque token: only `gatekeeper token introspect` can tell what it is good for")
	}
	if len(parts) != 3 {
		return decodedToken{}, &exitError{exitUsage, errNotJWT}
	}
	var d decodedToken
	for i, to := range []*map[string]any{&d.Header, &d.Claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return decodedToken{}, &exitError{exitUsage, fmt.Errorf("%w (%w)", errNotJWT, err)}
		}
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.UseNumber()
		if err := dec.Decode(to); err != nil {
			return decodedToken{}, &exitError{exitUsage, fmt.Errorf("%w (%w)", errNotJWT, err)}
		}
	}
	return d, nil
}

func (d decodedToken) view(now time.Time) view {
	return view{value: d, names: []string{fmt.Sprint(d.Claims["jti"])}, table: func(t *table) {
		for _, part := range []struct {
			title string
			of    map[string]any
		}{{"HEADER", d.Header}, {"CLAIMS", d.Claims}} {
			t.line(part.title)
			for _, k := range slices.Sorted(maps.Keys(part.of)) {
				t.field("  "+clean(k), claimText(part.of[k]), dateText(k, part.of[k], now))
			}
		}
	}}
}

// claimText is a claim's value on one line.
func claimText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// dateText says a claim that is a NumericDate (RFC 7519 section 2) in words.
func dateText(claim string, v any, now time.Time) string {
	n, ok := v.(json.Number)
	if !ok || !slices.Contains([]string{"exp", "nbf", "iat", "auth_time", "updated_at"}, claim) {
		return ""
	}
	seconds, err := n.Int64()
	if err != nil {
		return ""
	}
	at := time.Unix(seconds, 0)
	switch d := at.Sub(now); {
	case d > 0:
		return moment(at) + ", in " + span(d)
	case claim == "exp":
		return moment(at) + ", expired " + span(-d) + " ago"
	default:
		return moment(at) + ", " + span(-d) + " ago"
	}
}
