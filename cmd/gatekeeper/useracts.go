package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
)

func (a *app) userLock() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "lock USER", Short: "Stop somebody from signing in, end their sessions and revoke their tokens",
		Example:           "  gatekeeper user lock ana@example.org --reason 'phone stolen'",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the trail")
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		if err := b.LockUser(ctx, args[0], reason); err != nil {
			return err
		}
		a.say("%s is locked; their sessions have ended and their tokens are revoked.", args[0])
		return nil
	})
	return c
}

func (a *app) userUnlock() *cobra.Command {
	return &cobra.Command{
		Use: "unlock USER", Short: "Let somebody sign in again",
		Example:           "  gatekeeper user unlock ana@example.org",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			if err := b.UnlockUser(ctx, args[0]); err != nil {
				return err
			}
			a.say("%s may sign in again.", args[0])
			return nil
		}),
	}
}

func (a *app) userReset() *cobra.Command {
	var password passwordFlags
	c := &cobra.Command{
		Use: "reset USER", Short: "Set a new password, and end their sessions",
		Long:              "Set a new password, and end every session. Without a password one is made up and shown this once.",
		Example:           "  gatekeeper user reset ana@example.org\n  gatekeeper user reset ana@example.org --password-stdin < new-password",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
	}
	password.register(c)
	selecting(c, "password-file")
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		if err := atMostOne(c.Flags(), "password-stdin", "password-file"); err != nil {
			return err
		}
		fresh, made, err := password.read(a)
		if err != nil {
			return err
		}
		if err := b.SetPassword(ctx, args[0], fresh); err != nil {
			return err
		}
		u, err := b.User(ctx, args[0])
		if err != nil {
			u = identity.User{Email: args[0]} // the password is set: it has to be shown whatever else fails
		}
		a.say("The password of %s is new, and their sessions have ended.", args[0])
		return a.showUser(u, map[bool]string{true: fresh}[made])
	})
	return c
}

func (a *app) userSessions() *cobra.Command {
	return &cobra.Command{
		Use: "sessions USER", Short: "List where somebody is signed in",
		Example:           "  gatekeeper user sessions ana@example.org",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			return a.showSessions(ctx, b, args[0])
		}),
	}
}

func (a *app) userConsents() *cobra.Command {
	var revoke string
	c := &cobra.Command{
		Use: "consents USER", Short: "List the applications somebody lets act for them",
		Example:           "  gatekeeper user consents ana@example.org\n  gatekeeper user consents ana@example.org --revoke shop",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
	}
	c.Flags().StringVar(&revoke, "revoke", "", "take the consent for this application back, and what it was granted")
	selecting(c, "revoke")
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		if revoke != "" {
			if err := a.confirm("Take the consent of %s for %s back? What it was granted dies.", args[0], revoke); err != nil {
				return err
			}
			if err := b.RevokeConsent(ctx, args[0], revoke); err != nil {
				return err
			}
			a.say("%s no longer acts for %s.", revoke, args[0])
			return nil
		}
		all, err := allConsents(ctx, b, args[0])
		if err != nil {
			return err
		}
		v := view{value: consentList{all}, table: func(t *table) {
			t.row("APPLICATION", "SCOPES", "SINCE", "CHANGED")
			for _, c := range all {
				t.row(c.ClientID, strings.Join(c.Scopes, " "), moment(c.GrantedAt), moment(c.UpdatedAt))
			}
		}}
		for _, c := range all {
			v.names = append(v.names, c.ClientID)
		}
		return a.print(v)
	})
	return c
}

// allConsents reads every page.
func allConsents(ctx context.Context, b *backend, user string) ([]consent.Consent, error) {
	all := []consent.Consent{}
	for p := (identity.Page{Limit: pageSize}); ; {
		some, next, err := b.Consents(ctx, user, p)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if next == "" {
			return all, nil
		}
		p.After = next
	}
}

func (a *app) userDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete USER", Aliases: []string{"rm"}, Short: "Forget somebody",
		Example:           "  gatekeeper user delete ana@example.org --yes",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			if err := a.confirm("Delete %s? Their sessions, consents and tokens go with them.", args[0]); err != nil {
				return err
			}
			if err := b.DeleteUser(ctx, args[0]); err != nil {
				return err
			}
			a.say("%s is deleted.", args[0])
			return nil
		}),
	}
}

// consentList is consents as the admin API lists them.
type consentList struct {
	Consents []consent.Consent `json:"consents"`
}
