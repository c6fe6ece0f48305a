package identity

import (
	_ "embed" // the list of common passwords
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// commonPasswords is filled by go:embed: lower case, sorted, one a line (see NOTICE.md).
//
//go:embed common_passwords.txt
var commonPasswords string

const (
	productName    = "gatekeeper"
	minContextWord = 4 // a shorter word of a person's name is in every sentence
	minRemainder   = 8 // characters that must be left when a context word is taken out
)

// A candidate is a password someone wants to have, and the words that are too
// near to them to be a password.
type candidate struct {
	text    string // NFKC
	folded  string // lower case
	context []string
	min     int
}

// passwordChecks are the rules of NIST SP 800-63B-4 section 3.1.1.2: length and a
// list of what attackers try first, and no rule about kinds of characters.
var passwordChecks = []struct {
	name   string
	refuse func(c candidate) (reason string)
}{
	{"password_bytes", func(c candidate) string {
		if len(c.text) > maxPassword || !utf8.ValidString(c.text) {
			return fmt.Sprintf("A password has at most %d bytes of text.", maxPassword)
		}
		return ""
	}},
	{"password_length", func(c candidate) string {
		if n := utf8.RuneCountInString(c.text); n < c.min {
			return fmt.Sprintf("A password has at least %d characters; this one has %d. A few words in a row are easy to remember.", c.min, n)
		}
		return ""
	}},
	{"password_repetition", func(c candidate) string {
		if repeats(c.folded) {
			return "This password repeats one short piece. Attackers try that first."
		}
		return ""
	}},
	{"password_sequence", func(c candidate) string {
		if sequential(c.folded) {
			return "This password runs along the keyboard or the alphabet. Attackers try that first."
		}
		return ""
	}},
	{"password_common", func(c candidate) string {
		if common(c.folded) || common(letters(c.folded)) {
			return "This password is, but for a few digits or signs, on the list of the most common ones."
		}
		return ""
	}},
	{"password_context", func(c candidate) string {
		for _, word := range c.context {
			if strings.Contains(c.folded, word) && utf8.RuneCountInString(strings.ReplaceAll(c.folded, word, "")) < minRemainder {
				return "This password is little more than a name of the person or of this service."
			}
		}
		return ""
	}},
}

// checkPassword returns why password may not be the password of u, a fault
// Invalid ("weak_password") whose Detail is the reason, or nil.
func (s *Service) checkPassword(password string, u User) error {
	text := string(normalize(password))
	c := candidate{text: text, folded: strings.ToLower(text), context: contextWords(u), min: s.Policy.orDefault().MinPassword}
	for _, check := range passwordChecks {
		if reason := check.refuse(c); reason != "" {
			return &fault.Error{Kind: fault.Invalid, Code: "weak_password", Detail: reason, Rule: check.name}
		}
	}
	return nil
}

// contextWords returns the words that tell of u or of this program.
func contextWords(u User) []string {
	local, domain, _ := strings.Cut(u.Email, "@")
	site, _, _ := strings.Cut(domain, ".")
	p := u.Profile
	words := []string{productName}
	for _, w := range []string{u.Email, local, site, p.Name, p.GivenName, p.FamilyName, p.Nickname, p.PreferredUsername} {
		if w = fold(w); utf8.RuneCountInString(w) >= minContextWord {
			words = append(words, w)
		}
	}
	return words
}

// letters returns s without the digits and signs around it: what is left of
// "!password1234567" is "password".
func letters(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

// repeats reports whether s is one piece, at most half as long, again and again,
// the last time perhaps cut off.
func repeats(s string) bool {
	r := []rune(s)
	for size := 1; size <= len(r)/2; size++ {
		same := true
		for i := size; i < len(r) && same; i++ {
			same = r[i] == r[i-size]
		}
		if same {
			return true
		}
	}
	return false
}

// rows are what fingers and tongues run along.
var rows = []string{
	"01234567890123456789", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
	"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "qazwsxedcrfvtgbyhnujmikolp",
}

// sequential reports whether s, forwards or backwards, is pieces of rows that are
// four characters long at least, such as "qwerty12345abcdef".
func sequential(s string) bool {
	const least = 4
	r := []rune(s)
	if len(r) < least {
		return false
	}
	for len(r) > 0 {
		n := run(r)
		if n < least {
			return false
		}
		r = r[n:]
	}
	return true
}

// run returns how many characters at the start of r lie in one row.
func run(r []rune) int {
	best := 0
	for _, row := range rows {
		for _, line := range []string{row, reversed(row)} {
			n := 0
			for n < len(r) && strings.Contains(line, string(r[:n+1])) {
				n++
			}
			best = max(best, n)
		}
	}
	return best
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// common reports whether word is on the embedded list, by bisection of its text.
func common(word string) bool {
	lo, hi := 0, len(commonPasswords)
	for lo < hi {
		mid := lo + (hi-lo)/2
		start := strings.LastIndexByte(commonPasswords[:mid], '\n') + 1
		end := start + strings.IndexByte(commonPasswords[start:], '\n')
		switch line := commonPasswords[start:end]; {
		case line == word:
			return true
		case line < word:
			lo = end + 1
		default:
			hi = start
		}
	}
	return false
}
