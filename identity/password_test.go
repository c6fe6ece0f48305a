package identity

import (
	"strings"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	u := User{Email: "annemschmi@acmecorp.example", Profile: Profile{Name: "Annemarie Schmidt", FamilyName: "Schmidt"}}
	for _, c := range []struct {
		name, password string
		min            int
		rule           string // "" means accepted
	}{
		{"a few words", "three green bicycles", 15, ""},
		{"exactly long enough", "mgzt wk 4v ahnd", 15, ""},
		{"only lower-case letters", "correcthorsebatterystaple", 15, ""},
		{"letters of another script", "пятнадцать букв и больше", 15, ""},
		{"the name inside a sentence", "annemarie rides three green bicycles", 15, ""},
		{"sixty-four characters and more", strings.Repeat("lorem ipsum ", 5) + "dolor sit amet", 15, ""},
		{"one too short", "mgzt wk 4v ahn", 15, "password_length"},
		{"empty", "", 8, "password_length"},
		{"short in characters, long in bytes", "🙂🙃😉😊😇🥰😍", 8, "password_length"},
		{"too long", strings.Repeat("ab cd ef", 129), 15, "password_bytes"},
		{"broken UTF-8", "three green \xff bicycles", 15, "password_bytes"},
		{"one character", "aaaaaaaaaaaaaaaa", 15, "password_repetition"},
		{"one word twice", "bicycle4bicycle4", 15, "password_repetition"},
		{"a piece cut off at the end", "xkcd1xkcd1xkcd1xk", 15, "password_repetition"},
		{"digits in a row", "1234567890123456", 15, "password_sequence"},
		{"a keyboard walk", "qwertyuiopasdfgh", 15, "password_sequence"},
		{"walks joined", "qwerty12345abcdef", 15, "password_sequence"},
		{"the alphabet backwards", "zyxwvutsrqponmlkj", 15, "password_sequence"},
		{"common", "password", 8, "password_common"},
		{"common in capitals", "PassWord", 8, "password_common"},
		{"common with digits behind", "password2024!!!!", 15, "password_common"},
		{"common in full-width letters", "ｐａｓｓｗｏｒｄ", 8, "password_common"},
		{"the address", "annemschmi@acmecorp.example", 15, "password_context"},
		{"the local part and a year", "annemschmi-2024", 15, "password_context"},
		{"the product", "my gatekeeper pw", 15, "password_context"},
		{"the employer", "4acmecorp#x9q", 8, "password_context"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &Service{Policy: Policy{MinPassword: c.min}}
			err := s.checkPassword(c.password, u)
			if c.rule == "" {
				if err != nil {
					t.Errorf("got %v, want accepted", err)
				}
				return
			}
			wantFault(t, err, fault.Invalid, "weak_password")
			f := fault.Of(err)
			if f.Rule != c.rule || f.Detail == "" {
				t.Errorf("got rule %s (%s), want %s", f.Rule, f.Detail, c.rule)
			}
			if len(c.password) >= 15 && strings.Contains(f.Detail, c.password) {
				t.Errorf("the reason %q repeats the password", f.Detail)
			}
		})
	}
}

func TestCommonFindsEveryLine(t *testing.T) {
	t.Parallel()
	last := ""
	n := 0
	for word := range strings.Lines(commonPasswords) {
		word = strings.TrimSuffix(word, "\n")
		if word <= last {
			t.Fatalf("%q behind %q: the list is not sorted", word, last)
		}
		if !common(word) {
			t.Fatalf("%q is on the list and not found", word)
		}
		last = word
		n++
	}
	if n < 3000 {
		t.Errorf("got %d words, want 3000 at least", n)
	}
	for _, word := range []string{"", "\n", "a", "three green bicycles", "zzzzzzzzzzzzzzzz", "password\npassword1"} {
		if common(word) {
			t.Errorf("%q is not on the list and found", word)
		}
	}
}

func TestProfileRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		p    Profile
		rule string
	}{
		{"empty", Profile{}, ""},
		{"everything", Profile{
			Name: "Zoë O’Brien", ProfileURL: "https://example.org/zoe", Picture: "https://example.org/zoe.png?s=1",
			Website: "http://zoe.example", Gender: "female", Birthdate: "1990-02-28", Zoneinfo: "Europe/Berlin", Locale: "de-AT",
			PhoneNumber: "+49 30 123456;ext=12", PhoneNumberVerified: true,
			Address: &Address{Formatted: "1 Main St\r\nSpringfield", Country: "US"},
		}, ""},
		{"year only", Profile{Birthdate: "1990"}, ""},
		{"no year, leap day", Profile{Birthdate: "0000-02-29"}, ""},
		{"no such day", Profile{Birthdate: "1990-02-30"}, "profile_birthdate"},
		{"day first", Profile{Birthdate: "28.02.1990"}, "profile_birthdate"},
		{"script URL", Profile{Picture: "javascript:alert(1)"}, "profile_url"},
		{"URL with password", Profile{Website: "https://a:b@example.org"}, "profile_url"},
		{"URL without host", Profile{Website: "https:///x"}, "profile_url"},
		{"zone that is none", Profile{Zoneinfo: "Mars/Olympus"}, "profile_zoneinfo"},
		{"zone of this machine", Profile{Zoneinfo: "Local"}, "profile_zoneinfo"},
		{"zone that climbs", Profile{Zoneinfo: "../../etc/passwd"}, "profile_zoneinfo"},
		{"locale that is none", Profile{Locale: "deutsch!"}, "profile_locale"},
		{"phone in words", Profile{PhoneNumber: "call me"}, "profile_phone"},
		{"verified without number", Profile{PhoneNumberVerified: true}, "profile_phone"},
		{"name with line feed", Profile{Name: "a\nb"}, "profile_text"},
		{"name of two lines", Profile{GivenName: "a\u2028b"}, "profile_text"},
		{"name that turns around", Profile{Nickname: "a\u202eb"}, "profile_text"},
		{"long name", Profile{Nickname: strings.Repeat("ü", 257)}, "profile_text"},
		{"address with zero byte", Profile{Address: &Address{Region: "\x00"}}, "profile_address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := checkProfile(c.p)
			if c.rule == "" {
				if err != nil {
					t.Errorf("got %v, want accepted", err)
				}
				return
			}
			wantFault(t, err, fault.Invalid, "invalid_profile")
			if f := fault.Of(err); f.Rule != c.rule {
				t.Errorf("got rule %s, want %s", f.Rule, c.rule)
			}
		})
	}
}

func TestRolesAreSortedOnceAndNamed(t *testing.T) {
	t.Parallel()
	got, err := checkRoles([]string{"editor", "admin", "editor"})
	if err != nil || strings.Join(got, " ") != "admin editor" {
		t.Errorf("got %v, %v; want admin editor", got, err)
	}
	for _, bad := range []string{"", "Admin", "a b", "-x", strings.Repeat("a", 65)} {
		_, err := checkRoles([]string{bad})
		wantFault(t, err, fault.Invalid, "invalid_role")
	}
}
