package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/conformance/suite"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// lendConformance makes, on a development server of this computer, a person and
// applications for one run. giveBack deletes them.
func (a *app) lendConformance(ctx context.Context, t *suite.Target) (giveBack func(), err error) {
	a.global.issuer = t.Issuer
	b, err := a.openToLend(ctx, true, "only a development server on this computer lends you a person; name one with --user")
	if err != nil {
		return nil, err
	}
	l := &loan{app: a, b: b, name: tryPrefix + strings.ToLower(rand.Text()[:12])}
	if !b.dev || b.program == nil || b.config == nil {
		_ = b.close() // nothing was changed
		return nil, usagef("only a development server on this computer lends you a person; name one with --user")
	}
	a.sweepTries(ctx, b)
	if err := l.lend(ctx, t); err != nil {
		l.giveBack(ctx)
		return nil, fmt.Errorf("make what the run needs: %w", err)
	}
	return func() { l.giveBack(ctx) }, nil
}

// A loan is what was made for one run.
type loan struct {
	app    *app
	b      *backend
	name   string
	person string   // who was made; "" if nobody yet
	made   []string // applications
}

// lend makes the person, and two applications unless some were named.
func (l *loan) lend(ctx context.Context, t *suite.Target) error {
	t.Login, t.Password = l.name+"@conformance.invalid", newPassword()
	if _, err := l.b.CreateUser(ctx, admin.UserInput{Email: t.Login, EmailVerified: true, Password: t.Password, Profile: standardClaims()}); err != nil {
		return err
	}
	l.person = t.Login
	if len(t.Clients) > 0 {
		return nil
	}
	key, err := suite.NewKey("conformance")
	if err != nil {
		return err
	}
	for i, method := range []string{oauth2.AuthBasic, oauth2.AuthBasic, oauth2.AuthPost} {
		c := oauth2.Client{
			ID: fmt.Sprintf("%s-%d", l.name, i+1), Name: "Conformance", Type: oauth2.Web, AuthMethod: method, InsecureNoPKCE: !t.PKCE,
			RedirectURIs: []string{t.Redirect}, PostLogoutRedirectURIs: []string{t.Redirect + "/signed-out"},
			Grants: []string{oauth2.GrantCode, oauth2.GrantRefresh}, ResponseTypes: l.b.config.ResponseTypes, JWKS: suite.JWKS(key),
		}
		if slices.ContainsFunc(c.ResponseTypes, func(r string) bool { return r != "code" }) {
			c.Grants = append(c.Grants, oauth2.GrantImplicit)
		}
		made, err := l.b.CreateClient(ctx, admin.ClientInput{Client: c})
		if err != nil {
			return err
		}
		l.made = append(l.made, made.ID)
		t.Clients = append(t.Clients, suite.Client{
			ID: made.ID, Secret: made.Secret, AuthMethod: method, RedirectURIs: made.RedirectURIs, AfterLogout: made.PostLogoutRedirectURIs, Key: key,
		})
	}
	return nil
}

// giveBack deletes what was made, and says what could not be.
func (l *loan) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryHTTP)
	defer cancel()
	var left []error
	for _, id := range l.made {
		left = append(left, l.b.DeleteClient(ctx, id))
	}
	if l.person != "" {
		left = append(left, l.b.DeleteUser(ctx, l.person))
	}
	if err := errors.Join(append(left, l.b.close())...); err != nil {
		l.app.say("Something made for the run is still there, named %s: %v", l.name, err)
	}
}

// openDesk listens where the server can reach the run, if that was asked for.
func (a *app) openDesk(ctx context.Context, o runOptions, t *suite.Target) (closeDesk func(), err error) {
	if o.listen == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the server: %w", err)
	}
	address := o.listenURL
	if address == "" {
		address = "http://" + ln.Addr().String()
	}
	t.Desk = suite.NewDesk(address)
	server := &http.Server{Handler: t.Desk, ReadHeaderTimeout: tryHTTP}
	go func() { _ = server.Serve(ln) }() // ends with Close below
	return func() { _ = server.Close() }, nil
}
