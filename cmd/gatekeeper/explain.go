package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain REF", Short: "Say why a request was refused, and what would let it through",
		Long: "Say why a request was refused: what was received, what was registered, which rule decided,\n" +
			"and the command that would change it. REF is the reference on the page or in the answer.",
		Example: "  gatekeeper explain 7KQ2-M4XD",
		Args:    exactly("a reference"),
		RunE: a.with(func(ctx context.Context, b *backend, args []string) error {
			e, err := b.Explain(ctx, args[0])
			if err != nil {
				return err
			}
			fixes := suggest(e)
			if len(fixes) > 0 {
				a.say("Before you allow it, make sure that what was received is yours: anybody can send a request.")
			}
			return a.print(view{
				value: explanation{e, fixes}, names: []string{e.Reference},
				table: func(t *table) { explainTable(t, e, fixes) },
			})
		}),
	}
}

// An explanation is a refusal and the commands that would let it through.
type explanation struct {
	audit.Event
	Fixes []string `json:"fixes,omitempty"`
}

func explainTable(t *table, e audit.Event, fixes []string) {
	t.field("REFERENCE", e.Reference)
	t.field("WHEN", e.At.Local().Format("2006-01-02 15:04:05"))
	t.field("WHERE", e.Detail["route"])
	t.field("ANSWER", e.Detail["code"], e.Detail["detail"])
	t.field("RULE", e.Detail["rule"])
	t.field("ONE OF", oneOf(e))
	t.field("CLIENT", e.ClientID)
	t.field("USER", e.Subject)
	t.field("FROM", e.Address, e.UserAgent)
	t.field("REQUEST", e.CorrelationID)
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		if !slices.Contains([]string{"route", "code", "detail", "rule", audit.DetailCount, audit.DetailRepeats}, k) {
			t.field(strings.ToUpper(clean(k)), e.Detail[k])
		}
	}
	for i, f := range e.Trace {
		t.field(map[bool]string{true: "LOOKED AT"}[i == 0], clean(f.Name)+" = "+f.Value)
	}
	for i, fix := range fixes {
		t.field(map[bool]string{true: "TO ALLOW IT"}[i == 0], fix)
	}
}

// oneOf says of a reference that stands for many refusals that it does: what was
// looked at is then the first one's.
func oneOf(e audit.Event) string {
	switch n := e.Detail[audit.DetailCount]; {
	case n != "":
		return n + " of this kind from this network within a minute; only this one is told in full"
	case e.Detail[audit.DetailRepeats] != "":
		return "possibly many: the next ones of this kind from this network, within a minute, have this reference too"
	default:
		return ""
	}
}

// suggest returns what would let a refused request through, where its rule is
// one an operator can answer with a setting of the client. Whether the request
// should be let through, only the operator knows.
func suggest(e audit.Event) []string {
	id := e.ClientID
	if id == "" {
		id = fact(e, "client_id")
	}
	received, update := fact(e, "received"), "gatekeeper client update "+quote(id)
	if e.Detail["rule"] == "registration_scopes" {
		return scopeSetting(fact(e, "asked"), fact(e, "open"))
	}
	if id == "" {
		return nil
	}
	with := func(flag, value string) []string {
		if value == "" {
			return nil
		}
		return []string{update + " --" + flag + "=" + quote(value)}
	}
	switch e.Detail["rule"] {
	case "client_registered":
		return []string{"gatekeeper client create " + quote(id) + " --redirect-uri …"}
	case "redirect_uri_registered":
		return with("add-redirect-uri", received)
	case "post_logout_redirect_uri_registered":
		return with("add-post-logout-redirect-uri", received)
	case "client_may_use_code":
		return with("add-grant", oauth2.GrantCode)
	case "client_may_use_grant":
		return with("add-grant", received)
	case "scope_grammar", "scope_registered":
		fixes := with("add-scope", strings.Join(without(words([]string{received}), words([]string{fact(e, "registered")})), ","))
		if fact(e, "registered_itself") == "true" {
			fixes = append(fixes, scopeSetting(received, fact(e, "registered"))...)
		}
		return fixes
	case "resource_allowed":
		return append(with("add-audience", received), audienceSetting(e)...)
	default:
		return suggestOther(e, update)
	}
}

// suggestOther is suggest for rules that no value of the request would satisfy.
func suggestOther(e audit.Event, update string) []string {
	switch e.Detail["rule"] {
	case "pkce_s256":
		return []string{
			"Let the application send code_challenge with code_challenge_method=S256 (RFC 7636); every library can.",
			update + " --insecure-no-pkce   (confidential clients only, and only if the application cannot)",
		}
	case "client_authenticates":
		return authMethodFixes(e, update)
	case "assertion_life":
		return []string{update + " --assertion-max-age=1h"}
	default:
		return nil
	}
}

// scopeSetting is what lets applications that register themselves have the scopes
// asked for, but for an administrator's.
func scopeSetting(asked, have string) []string {
	more := slices.DeleteFunc(without(words([]string{asked}), words([]string{have})), func(s string) bool { return s == "admin" || strings.HasPrefix(s, "admin:") })
	if len(more) == 0 {
		return nil
	}
	return []string{"registration_scopes: add " + quote(strings.Join(more, ",")) + "   (a setting: for every application that registers itself)"}
}

// audienceSetting is what lets every application that registers itself ask for the
// resource.
func audienceSetting(e audit.Event) []string {
	if fact(e, "registered_itself") != "true" {
		return nil
	}
	return []string{"registration_audiences: [" + quote(fact(e, "received")) + "]   (a setting: for every application that registers itself)"}
}

// authMethodFixes are for a client that came by another way than it is registered
// for.
func authMethodFixes(e audit.Event, update string) []string {
	registered, method := fact(e, "registered_method"), fact(e, "method")
	if registered == "" || method == "" || registered == method {
		return nil
	}
	secrets := []string{oauth2.AuthBasic, oauth2.AuthPost}
	if slices.Contains(secrets, registered) && slices.Contains(secrets, method) {
		return []string{update + " --exact-auth-method=false"}
	}
	return []string{update + " --auth-method=" + quote(method)}
}

// fact is the value of the first fact of this name; "" if there is none.
func fact(e audit.Event, name string) string {
	for _, f := range e.Trace {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// without returns the values of all that are not in known.
func without(all, known []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return slices.Contains(known, s) })
}

// quote makes s one word of a shell. The value was sent by whoever was refused:
// pasted unquoted it could run anything.
func quote(s string) string {
	s = clean(s)
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:/@,+=", r)
	}
	if s != "" && !strings.HasPrefix(s, "-") && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(s, "'", `'\''`))
}
