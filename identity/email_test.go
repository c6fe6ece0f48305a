package identity

import (
	"strings"
	"testing"
	"unicode"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func TestNormalizeEmailAccepts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"as it is", "alice@example.org", "alice@example.org"},
		{"capitals", "Alice@Example.ORG", "alice@example.org"},
		{"outer spaces", "  alice@example.org\t", "alice@example.org"},
		{"full-width letters and at sign", "ａlice＠example.org", "alice@example.org"},
		{"the Kelvin sign is a k", "\u212Aim@example.org", "kim@example.org"},
		{"decomposed umlaut", "u\u0308mit@example.org", "ümit@example.org"},
		{"plus address stays its own", "alice+shop@example.org", "alice+shop@example.org"},
		{"domain in punycode", "anna@xn--mnchen-3ya.example", "anna@münchen.example"},
		{"domain in letters", "anna@münchen.example", "anna@münchen.example"},
		{"domain in decomposed capitals", "anna@MU\u0308NCHEN.example", "anna@münchen.example"},
		{"domain in capital punycode", "anna@XN--MNCHEN-3YA.EXAMPLE", "anna@münchen.example"},
		{"ideographic full stop", "anna@münchen。example", "anna@münchen.example"},
		{"dot of the root", "alice@example.org.", "alice@example.org"},
		{"sharp s is no double s", "anna@straße.example", "anna@straße.example"},
		{"sharp s in punycode", "anna@xn--strae-oqa.example", "anna@straße.example"},
		{"underscore, which no resolver minds", "root@mail_host.example", "root@mail_host.example"},
		{"host without dot", "root@localhost", "root@localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := NormalizeEmail(c.in)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestNormalizeEmailRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, rule string }{
		{"empty", "", "email_one_at"},
		{"no at sign", "alice", "email_one_at"},
		{"two at signs", "a@evil@corp.example", "email_one_at"},
		{"second at sign in disguise", "a@evil＠corp.example", "email_one_at"},
		{"nothing before", "@example.org", "email_one_at"},
		{"nothing behind", "alice@", "email_one_at"},
		{"inner space", "ali ce@example.org", "email_characters"},
		{"newline", "alice@example.org\nbcc: x@y.example", "email_one_at"},
		{"zero byte", "alice\x00@example.org", "email_characters"},
		{"zero-width space", "ali\u200bce@example.org", "email_characters"},
		{"right-to-left override", "ali\u202ece@example.org", "email_characters"},
		{"display name", "Alice <alice@example.org>", "email_characters"},
		{"quoted local part", `"alice"@example.org`, "email_characters"},
		{"two dots at the end", "alice@example.org..", "email_dots"},
		{"two dots", "ali..ce@example.org", "email_dots"},
		{"too long", strings.Repeat("a", 60) + "@" + strings.Repeat("b", 200), "email_length"},
		{"long local part", strings.Repeat("a", 65) + "@example.org", "email_length"},
		{"huge", strings.Repeat("a", 1<<20) + "@example.org", "email_length"},
		{"broken UTF-8", "ali\xffce@example.org", "email_length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := NormalizeEmail(c.in)
			wantFault(t, err, fault.Invalid, "invalid_email")
			if f := fault.Of(err); f.Rule != c.rule {
				t.Errorf("got rule %s, want %s", f.Rule, c.rule)
			}
		})
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"alice@example.org", " A＠b ", "a@b@c", "\u212A@\u0130.x", "ﬁ@x.y", "\x00@", "a@b\u0308"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		email, err := NormalizeEmail(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || email != "" {
				t.Fatalf("%q: got %q, %v; want an invalid_email fault", s, email, err)
			}
			return
		}
		if again, err := NormalizeEmail(email); err != nil || again != email {
			t.Errorf("%q: the spelling %q is not its own: %q, %v", s, email, again, err)
		}
		if len(email) > maxEmail || strings.Count(email, "@") != 1 || strings.IndexFunc(email, unicode.IsSpace) >= 0 {
			t.Errorf("%q: got %q, which is no address", s, email)
		}
		if upper, err := NormalizeEmail(" " + s + " "); err != nil || upper != email {
			t.Errorf("%q: outer spaces make another address: %q, %v", s, upper, err)
		}
	})
}

func TestADomainInTwoSpellingsIsOneAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(t, "anna@münchen.example")
	for _, spelled := range []string{"anna@xn--mnchen-3ya.example", "ANNA@MÜNCHEN.example", "anna@mu\u0308nchen.example."} {
		_, err := w.CreateUser(t.Context(), "test", NewUser{Email: spelled, Password: goodPassword})
		wantFault(t, err, fault.Conflict, "email_taken")
		if got, err := w.Find(t.Context(), spelled); err != nil || got.ID != u.ID {
			t.Errorf("%s: got %v, %v", spelled, got.ID, err)
		}
		if got, err := w.Authenticate(from(t, "192.0.2.1"), spelled, goodPassword); err != nil || got.ID != u.ID {
			t.Errorf("%s signs in: got %v, %v", spelled, got.ID, err)
		}
	}
	old := User{ID: "old", Email: "bea@xn--mnchen-3ya.example", Status: Active} // made before domains had one spelling
	if err := w.store.InsertUser(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	_, err := w.CreateUser(t.Context(), "test", NewUser{Email: "bea@münchen.example", Password: goodPassword})
	wantFault(t, err, fault.Conflict, "email_taken")
}
