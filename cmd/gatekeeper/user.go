package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/admin"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/strictjson"
)

func (a *app) userCommand() *cobra.Command {
	c := group("user", "People who can sign in",
		a.userCreate(), a.userList(), a.userGet(), a.userUpdate(), a.userLock(), a.userUnlock(),
		a.userReset(), a.userSessions(), a.userConsents(), a.userDelete())
	c.Long = "People who can sign in. USER is an email address or an ID."
	c.Example = "  gatekeeper user create ana@example.org --role admin\n  gatekeeper user lock ana@example.org --reason 'left the company'"
	return c
}

// passwordFlags are the ways a password comes in: never as an argument, where
// every process of the computer could read it.
type passwordFlags struct {
	stdin bool
	file  string
}

func (p *passwordFlags) register(c *cobra.Command) {
	c.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&p.file, "password-file", "", "read the password from this file")
}

// read returns the password, or one made up if the person brought none.
func (p *passwordFlags) read(a *app) (password string, made bool, err error) {
	switch {
	case p.stdin:
		password, err = a.readSecret("-")
	case p.file != "":
		password, err = a.readSecret(p.file)
	default:
		return newPassword(), true, nil
	}
	return password, false, err
}

// newPassword is 130 bits in groups that can be read out and typed.
func newPassword() string {
	s := strings.ToLower(rand.Text())
	return strings.Join([]string{s[:6], s[6:12], s[12:18], s[18:]}, "-")
}

func (a *app) userCreate() *cobra.Command {
	var in admin.UserInput
	var password passwordFlags
	var roles []string
	var claimsFile, hashFile string
	c := &cobra.Command{
		Use: "create EMAIL", Short: "Let somebody sign in",
		Long: "Let somebody sign in. Without a password one is made up and shown this once.\n" +
			"--claims reads standard claims (OpenID Connect Core section 5.1) as JSON, such as\n" +
			`{"given_name":"Ana","locale":"pt-BR","phone_number":"+351210000000"}.`,
		Example: "  gatekeeper user create ana@example.org --name 'Ana Silva' --email-verified\n" +
			"  pass show ana | gatekeeper user create ana@example.org --password-stdin --role admin\n" +
			"  gatekeeper user create old@example.org --password-hash-file old.phc",
		Args: exactly("an email address"),
	}
	f := c.Flags()
	password.register(c)
	f.StringVar(&in.PasswordHash, "password-hash", "", "import this password hash (a PHC or bcrypt string) instead of a password")
	f.StringVar(&hashFile, "password-hash-file", "", "import the password hash in this file (- is standard input)")
	f.StringArrayVar(&roles, "role", nil, "a role they hold, such as admin (commas or repeat)")
	f.BoolVar(&in.EmailVerified, "email-verified", false, "you know that the address is theirs")
	f.StringVar(&claimsFile, "claims", "", "read standard claims from this JSON file (- is standard input)")
	f.StringVar(&in.Profile.Name, "name", "", "their full name")
	selecting(c, "password-file", "password-hash", "password-hash-file", "claims")
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		if err := atMostOne(f, "password-stdin", "password-file", "password-hash", "password-hash-file"); err != nil {
			return err
		}
		in.Email, in.Roles = args[0], words(roles)
		name := in.Profile.Name
		if claimsFile != "" {
			if err := a.readClaims(claimsFile, &in.Profile); err != nil {
				return err
			}
		}
		if name != "" {
			in.Profile.Name = name
		}
		made := false
		var err error
		switch {
		case hashFile != "":
			in.PasswordHash, err = a.readSecret(hashFile)
		case in.PasswordHash == "":
			in.Password, made, err = password.read(a)
		}
		if err != nil {
			return err
		}
		u, err := b.CreateUser(ctx, in)
		if err != nil {
			return err
		}
		return a.showUser(u, map[bool]string{true: in.Password}[made])
	})
	return c
}

// readClaims reads standard claims into p; a claim nobody knows is refused.
func (a *app) readClaims(file string, p *identity.Profile) error {
	text, err := a.readFile(file, maxInputFile)
	if err != nil {
		return err
	}
	if err := strictjson.Decode(text, p); err != nil {
		return usagef("%s: %v", file, err)
	}
	return nil
}

// userWithPassword is a user and the password made up for them, shown this once.
type userWithPassword struct {
	identity.User
	Password string `json:"password,omitempty"`
}

func (a *app) showUser(u identity.User, password string) error {
	return a.print(view{value: userWithPassword{u, password}, names: []string{u.ID}, once: password, table: func(t *table) {
		t.field("USER ID", u.ID)
		t.field("EMAIL", u.Email, map[bool]string{true: "verified", false: "not verified"}[u.EmailVerified])
		if password != "" {
			t.field("PASSWORD", password, "shown once; store it now")
		}
		t.field("NAME", u.Profile.Name)
		t.field("STATUS", string(u.Status))
		t.field("ROLES", strings.Join(u.Roles, " "))
		t.field("LAST LOGIN", moment(u.LastLoginAt))
		t.field("CREATED", moment(u.CreatedAt))
	}})
}

func (a *app) userList() *cobra.Command {
	var query string
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the people",
		Example: "  gatekeeper user list\n  gatekeeper user list --query ana -o name",
		Args:    between(0),
	}
	c.Flags().StringVar(&query, "query", "", "only those with a word in their address or name that begins with each of these")
	selecting(c, "query")
	c.RunE = a.with(func(ctx context.Context, b *backend, _ []string) error {
		all := []identity.User{}
		for p := (identity.Page{Limit: pageSize}); ; {
			some, next, err := b.Users(ctx, query, p)
			if err != nil {
				return err
			}
			all = append(all, some...)
			if next == "" {
				break
			}
			p.After = next
		}
		v := view{value: userList{all}, table: func(t *table) {
			t.row("EMAIL", "NAME", "STATUS", "ROLES", "LAST LOGIN", "ID")
			for _, u := range all {
				t.row(u.Email, u.Profile.Name, string(u.Status), strings.Join(u.Roles, " "), moment(u.LastLoginAt), u.ID)
			}
		}}
		for _, u := range all {
			v.names = append(v.names, u.ID)
		}
		return a.print(v)
	})
	return c
}

func (a *app) userGet() *cobra.Command {
	return &cobra.Command{
		Use: "get USER", Short: "Show a person",
		Example:           "  gatekeeper user get ana@example.org -o json",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			u, err := b.User(ctx, args[0])
			if err != nil {
				return err
			}
			return a.showUser(u, "")
		}),
	}
}

func (a *app) userUpdate() *cobra.Command {
	var email, name, claimsFile string
	var verified bool
	var roles, addRoles, removeRoles []string
	c := &cobra.Command{
		Use: "update USER", Short: "Change what is known of a person",
		Long: "Change what the flags name and leave the rest. --claims merges standard claims into\nthe profile: a claim in the file replaces that claim.",
		Example: "  gatekeeper user update ana@example.org --email ana@example.com --email-verified\n" +
			"  gatekeeper user update ana@example.org --add-role admin",
		Args:              exactly("a user"),
		ValidArgsFunction: a.completeUsers,
	}
	f := c.Flags()
	f.StringVar(&email, "email", "", "their new address")
	f.StringVar(&name, "name", "", "their full name")
	f.BoolVar(&verified, "email-verified", false, "you know that the address is theirs")
	f.StringArrayVar(&roles, "role", nil, "exactly the roles they hold (commas or repeat)")
	f.StringArrayVar(&addRoles, "add-role", nil, "give them a role (commas or repeat)")
	f.StringArrayVar(&removeRoles, "remove-role", nil, "take a role from them (commas or repeat)")
	f.StringVar(&claimsFile, "claims", "", "read standard claims from this JSON file (- is standard input)")
	selecting(c, "claims")
	c.RunE = a.with(func(ctx context.Context, b *backend, args []string) error {
		u, err := b.User(ctx, args[0])
		if err != nil {
			return err
		}
		seen := admin.UserTag(u)
		if f.Changed("email") {
			u.EmailVerified = u.EmailVerified && sameEmail(u.Email, email)
			u.Email = email
		}
		if f.Changed("email-verified") {
			u.EmailVerified = verified
		}
		if f.Changed("role") {
			u.Roles = words(roles)
		}
		u.Roles = change(u.Roles, words(addRoles), words(removeRoles))
		if claimsFile != "" {
			if err := a.readClaims(claimsFile, &u.Profile); err != nil {
				return err
			}
		}
		if f.Changed("name") {
			u.Profile.Name = name
		}
		if u, err = b.UpdateUser(ctx, u, seen); err != nil {
			return err
		}
		return a.showUser(u, "")
	})
	return c
}

// userList is people as the admin API lists them.
type userList struct {
	Users []identity.User `json:"users"`
}

// completeUsers offers the addresses of people in the shell.
func (a *app) completeUsers(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completions(cmd, begun, func(ctx context.Context, api admin.API) ([]string, error) {
		some, _, err := api.Users(ctx, begun, identity.Page{Limit: pageSize})
		var out []string
		for _, u := range some {
			out = append(out, fmt.Sprintf("%s\t%s", u.Email, clean(u.Profile.Name)))
		}
		return out, err
	})
}

// sameEmail reports whether two spellings are of one address.
func sameEmail(a, b string) bool {
	one, errOne := identity.NormalizeEmail(a)
	other, errOther := identity.NormalizeEmail(b)
	return errOne == nil && errOther == nil && one == other
}
