package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func (a *app) sessionCommand() *cobra.Command {
	c := group("session", "Signed-in browsers", a.sessionList(), a.sessionRevoke())
	c.Example = "  gatekeeper session list\n  gatekeeper session revoke --user ana@example.org"
	return c
}

func (a *app) sessionList() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List live sessions, newest first",
		Long: "List live sessions, newest first. TELLS names the applications that will be told when the session ends:\n" +
			"those it reached that registered a back-channel or front-channel logout address.",
		Example: "  gatekeeper session list\n  gatekeeper session list --user ana@example.org -o json",
		Args:    between(0),
	}
	c.Flags().StringVar(&user, "user", "", "only those of this user")
	selecting(c, "user")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		return a.showSessions(ctx, b, user)
	})
	return c
}

func (a *app) showSessions(ctx context.Context, b *backend, user string) error {
	all, err := b.Sessions(ctx, user)
	if err != nil {
		return err
	}
	v := view{value: sessionsFound{all}, table: func(t *table) {
		t.row("SESSION", "USER", "SIGNED IN", "LAST SEEN", "BY", "ADDRESS", "TELLS", "BROWSER")
		for _, s := range all {
			t.row(s.ID, s.UserID, moment(s.AuthTime), moment(s.LastSeenAt), strings.Join(s.AMR, "+"), s.Address, strings.Join(s.Clients, " "), s.UserAgent)
		}
	}}
	for _, s := range all {
		v.names = append(v.names, s.ID)
	}
	return a.print(v)
}

func (a *app) sessionRevoke() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use: "revoke [SESSION…]", Short: "Sign browsers out",
		Long: "Sign browsers out: the sessions named, or with --user and no session all of that user's.\n" +
			"The tokens granted in them die with them, unless they were granted for offline access.",
		Example: "  gatekeeper session revoke 0198f3c2-…\n  gatekeeper session revoke --user ana@example.org",
	}
	c.Flags().StringVar(&user, "user", "", "whose sessions they are")
	selecting(c, "user")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if user == "" && len(args) == 0 {
			return usagef("name a session, or a user with --user")
		}
		return a.with(func(ctx context.Context, b *backend, ids []string) error {
			return a.revokeSessions(ctx, b, user, ids)
		})(cmd, args)
	}
	return c
}

func (a *app) revokeSessions(ctx context.Context, b *backend, user string, ids []string) error {
	if user != "" && len(ids) == 0 {
		if err := a.confirm("Sign %s out everywhere?", user); err != nil {
			return err
		}
		if err := b.EndAllSessions(ctx, user); err != nil {
			return err
		}
		a.say("Signed out.")
		return nil
	}
	owners, err := sessionOwners(ctx, b, user, ids)
	if err != nil {
		return err
	}
	if err := a.confirm("Sign out %s?", plural(len(owners), "session")); err != nil {
		return err
	}
	for _, o := range owners {
		if err := b.EndSessions(ctx, o.user, o.session); err != nil {
			return err
		}
	}
	a.say("Signed out.")
	return nil
}

type ownedSession struct{ user, session string }

// sessionOwners finds out whose the sessions are, among those of user if one is
// named. One that is not live is not found.
func sessionOwners(ctx context.Context, b *backend, user string, ids []string) ([]ownedSession, error) {
	live, err := b.Sessions(ctx, user)
	if err != nil {
		return nil, err
	}
	owner := map[string]string{}
	for _, s := range live {
		owner[s.ID] = s.UserID
	}
	out := make([]ownedSession, 0, len(ids))
	for _, id := range ids {
		user, ok := owner[id]
		if !ok {
			return nil, fault.Missing("session", id)
		}
		out = append(out, ownedSession{user, id})
	}
	return out, nil
}

// sessionsFound is sessions as the admin API lists them.
type sessionsFound struct {
	Sessions []admin.Session `json:"sessions"`
}
