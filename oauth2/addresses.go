package oauth2

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fetch"
)

// An address is one that a client registered under a member, beside those answers
// of authorization go to.
type address struct{ member, url string }

// asked are the addresses of c that this server asks.
func (c *Client) asked() []address {
	all := []address{
		{"jwks_uri", c.JWKSURI},
		{"sector_identifier_uri", c.SectorIdentifierURI},
		{"backchannel_logout_uri", c.BackchannelLogoutURI},
		{"logo_uri", c.LogoURI},
	}
	for _, u := range c.RequestURIs {
		all = append(all, address{"request_uris", u})
	}
	for _, t := range c.TrustedIssuers {
		all = append(all, address{"trusted_issuers", t.JWKSURI})
	}
	return without(all)
}

// opened are the addresses of c that a browser opens, because a person follows a
// link or a page of ours says so.
func (c *Client) opened() []address {
	return without([]address{
		{"client_uri", c.ClientURI},
		{"policy_uri", c.PolicyURI},
		{"tos_uri", c.TOSURI},
		{"initiate_login_uri", c.InitiateLoginURI},
		{"frontchannel_logout_uri", c.FrontchannelLogoutURI},
	})
}

func without(all []address) []address {
	return slices.DeleteFunc(all, func(a address) bool { return a.url == "" })
}

// A Reacher knows which addresses this server asks; fetch.Client is one. Check
// looks at how one is written, Reach at where its name leads as well. An error
// wraps fetch.ErrRefused if it does not ask there.
type Reacher interface {
	Check(address string) error
	Reach(ctx context.Context, address string) error
}

// reachTime bounds how long the names of one client are looked up for advice.
const reachTime = 3 * time.Second

// Unasked says which addresses of c the rules of f keep this server from asking, a
// sentence for operators each. Nothing there works: keys, objects, sign-outs.
func Unasked(ctx context.Context, f Reacher, c *Client) []string {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	var all []string
	for _, a := range c.asked() {
		if err := f.Reach(ctx, a.url); errors.Is(err, fetch.ErrRefused) {
			why := strings.TrimPrefix(err.Error(), fetch.ErrRefused.Error()+": ")
			all = append(all, "The "+a.member+" "+clip(a.url, 300)+" is never asked: "+why+". fetch_allow and fetch_ports make exceptions.")
		}
	}
	return all
}

// Unasked says which addresses of c this server will not ask.
func (p *Provider) Unasked(ctx context.Context, c *Client) []string {
	if p.cfg.Fetch == nil {
		return nil
	}
	return Unasked(ctx, p.cfg.Fetch, c)
}

// Unwelcome says which address of c somebody whom nobody vouches for may not bring,
// "" if there is none: each is https to a public host, or of a network that the
// operator allowed. Where the name of a host leads is not said, for that would be a
// map of the network.
func (p *Provider) Unwelcome(c *Client) string {
	for _, a := range append(c.asked(), c.opened()...) {
		base, _, _ := strings.Cut(a.url, "#")
		if why := outsideFits(a.member, base); why != "" {
			return why
		}
		if p.cfg.Fetch != nil && p.cfg.Fetch.Check(a.url) != nil {
			return "The " + a.member + " is an https address of a public host, and its port none that another kind of service has."
		}
	}
	return ""
}
