package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

func sample() view {
	c := oauth2.Client{ID: "shop", Name: "Shop\x1b[31m\nfalse row", Type: oauth2.Web, Grants: []string{"authorization_code"}, Scopes: []string{"openid"}}
	return view{value: c, names: []string{c.ID}, once: "gk_cs_secret", table: func(t *table) {
		t.row("ID", "NAME", "LAST")
		t.row(c.ID, c.Name, "")
		t.field("EMPTY", "")
		t.field("TYPE", "web", "", "described")
		t.each("REDIRECT", []string{"a", "b"})
	}}
}

func TestEveryOutputForm(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"table": "ID         NAME                 LAST\nshop       Shop[31m false row   -\nTYPE       web   described\nREDIRECT   a\n           b\n",
		"name":  "shop\n",
		"json":  "{\n  \"id\": \"shop\",\n  \"name\": \"Shop\\u001b[31m\\nfalse row\",\n  \"type\": \"web\",\n  \"grants\": [\n    \"authorization_code\"\n  ],\n  \"scopes\": [\n    \"openid\"\n  ],\n  \"auth_method\": \"\"\n}\n",
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			a := &app{world: world{Stdout: &out, Stderr: &errs}, global: globalFlags{output: form}}
			if err := a.print(sample()); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
			if kept := strings.Contains(errs.String(), "gk_cs_secret"); kept != (form == "name") {
				t.Errorf("stderr %q", &errs)
			}
		})
	}
}

// A name with an escape sequence must not paint the screen of whoever lists it.
func TestCleanDropsWhatATerminalActsUpon(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                  "plain",
		"\x1b]0;owned\x07title":  "]0;ownedtitle",
		"a\r\nb\tc":              "a b c",
		"\u202eevil\u200b":       "evil",
		"Zoë 猫":                  "Zoë 猫",
		"\xffbroken":             "\ufffdbroken",
		"\u009b31mC1 introducer": "31mC1 introducer",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	wrapped := func(k fault.Kind) error { return fmt.Errorf("create client x: %w", &fault.Error{Kind: k, Code: "c"}) }
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"done":                   {nil, 0},
		"anything else":          {errors.New("broken"), 1},
		"internal":               {wrapped(fault.Internal), 1},
		"too many":               {wrapped(fault.TooMany), 1},
		"usage":                  {usagef("no"), 2},
		"refused input":          {wrapped(fault.Invalid), 2},
		"too large":              {wrapped(fault.TooLarge), 2},
		"missing":                {wrapped(fault.NotFound), 3},
		"exists":                 {wrapped(fault.Conflict), 4},
		"unauthenticated":        {wrapped(fault.Unauthenticated), 5},
		"forbidden":              {wrapped(fault.Forbidden), 5},
		"store down":             {wrapped(fault.Unavailable), 6},
		"network":                {&net.OpError{Op: "dial", Err: errors.New("refused")}, 6},
		"timeout":                {context.DeadlineExceeded, 6},
		"configuration":          {badConfig(errors.New("x")), 78},
		"configuration, wrapped": {fmt.Errorf("load: %w", &config.Error{Key: "listen", Detail: "is wrong"}), 78},
		"silent":                 {&exitError{status: 10}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := status(tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// Who was refused chose the value; an operator pastes the command.
func TestSuggestionsAreSafeToPaste(t *testing.T) {
	t.Parallel()
	refused := func(rule string, facts ...string) audit.Event {
		e := audit.Event{ClientID: "shop", Detail: map[string]string{"rule": rule}}
		for i := 0; i < len(facts); i += 2 {
			e.Trace = append(e.Trace, fault.Fact{Name: facts[i], Value: facts[i+1]})
		}
		return e
	}
	for name, tt := range map[string]struct {
		event audit.Event
		want  string
	}{
		"redirect URI":        {refused("redirect_uri_registered", "received", "https://shop.example/cb2", "registered", "https://shop.example/cb"), "gatekeeper client update shop --add-redirect-uri=https://shop.example/cb2"},
		"shell":               {refused("redirect_uri_registered", "received", "https://x/';rm -rf ~;'"), `gatekeeper client update shop --add-redirect-uri='https://x/'\'';rm -rf ~;'\'''`},
		"query":               {refused("redirect_uri_registered", "received", "https://x/?a=1&b=$(id)"), "gatekeeper client update shop --add-redirect-uri='https://x/?a=1&b=$(id)'"},
		"flag":                {refused("redirect_uri_registered", "received", "--yes"), "gatekeeper client update shop --add-redirect-uri='--yes'"},
		"scope":               {refused("scope_grammar", "received", "openid api", "registered", "openid"), "gatekeeper client update shop --add-scope=api"},
		"grant":               {refused("client_may_use_grant", "received", "client_credentials"), "gatekeeper client update shop --add-grant=client_credentials"},
		"code grant":          {refused("client_may_use_code"), "gatekeeper client update shop --add-grant=authorization_code"},
		"resource":            {refused("resource_allowed", "received", "https://api.example"), "gatekeeper client update shop --add-audience=https://api.example"},
		"PKCE":                {refused("pkce_s256"), "--insecure-no-pkce"},
		"unknown application": {audit.Event{Detail: map[string]string{"rule": "client_registered"}, Trace: []fault.Fact{{Name: "client_id", Value: "new"}}}, "gatekeeper client create new"},
		"nothing to suggest":  {refused("password_matches", "received", "x"), ""},
		"nothing received":    {refused("redirect_uri_registered", "registered", "https://x/"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(suggest(tt.event), "\n"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "past", 30 * time.Second: "30 s", 15*time.Minute - 300*time.Millisecond: "15 min", 3 * time.Hour: "3 h", 72 * time.Hour: "3 days",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestConfirmAsksOnATerminalOnly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tty, yes bool
		answer   string
		want     int
	}{
		"not a terminal": {false, false, "", exitUsage},
		"--yes alone":    {false, true, "", exitDone},
		"--yes":          {true, true, "", exitDone},
		"yes":            {true, false, "Yes\n", exitDone},
		"no":             {true, false, "n\n", exitFailed},
		"return":         {true, false, "\n", exitFailed},
		"hung up":        {true, false, "", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &app{world: world{Stdin: strings.NewReader(tt.answer), Stderr: &bytes.Buffer{}, StdinTTY: tt.tty, StderrTTY: tt.tty}, global: globalFlags{yes: tt.yes}}
			if got := status(a.confirm("Delete %s?", "it")); got != tt.want {
				t.Errorf("exit status %d, want %d", got, tt.want)
			}
		})
	}
}

func TestColourOnlyWhereItIsWanted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		w    world
		no   bool
		want bool
	}{
		"terminal":      {world{StdoutTTY: true}, false, true},
		"pipe":          {world{}, false, false},
		"--no-color":    {world{StdoutTTY: true}, true, false},
		"NO_COLOR":      {world{StdoutTTY: true, Environ: []string{"NO_COLOR=1"}}, false, false},
		"dumb terminal": {world{StdoutTTY: true, Environ: []string{"TERM=dumb"}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &app{world: tt.w, global: globalFlags{noColor: tt.no}}
			if got := a.paint(red, "x") != "x"; got != tt.want {
				t.Errorf("coloured: %t, want %t", got, tt.want)
			}
		})
	}
}

func FuzzDecodeJWT(f *testing.F) {
	for _, s := range []string{"", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.eyJleHAiOjFlOTl9.x", "gk_at_x", "....", "bnVsbA.bnVsbA.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		d, err := decodeJWT(token)
		if err != nil {
			return
		}
		var out bytes.Buffer
		a := &app{world: world{Stdout: &out, Stderr: &out}, global: globalFlags{output: "table"}}
		if err := a.print(d.view(time.Unix(0, 0))); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsRune(out.String(), '\x1b') {
			t.Errorf("an escape sequence came through: %q", &out)
		}
	})
}

func FuzzParseDeclared(f *testing.F) {
	for _, s := range []string{"", "clients:\n- id: a\n  type: web\n", "[]", `{"id":"a"}`, "---\nid: a\n---\nid: b\n", "a: &x [*x]", "clients: 1", "1", "- - -"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseDeclared(text)
		for _, c := range all {
			if err == nil && c.ID == "" {
				t.Error("a client without an id came through")
			}
		}
	})
}
