package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	maxEmail     = 254 // bytes (RFC 5321 section 4.5.3.1.3, less the angle brackets)
	maxLocalPart = 64  // bytes (RFC 5321 section 4.5.3.1.1)
)

// An emailCheck looks at an address that is already in its one spelling.
type emailCheck struct {
	name, detail string
	fits         func(email, local, domain string) bool
}

var emailChecks = []emailCheck{
	{"email_length", "An email address has at most 254 bytes, 64 of them before the @.", func(email, local, _ string) bool {
		return len(email) <= maxEmail && len(local) <= maxLocalPart
	}},
	{"email_one_at", "An email address has exactly one @, with something on both sides.", func(email, local, domain string) bool {
		return strings.Count(email, "@") == 1 && local != "" && domain != ""
	}},
	{"email_characters", "An email address has no spaces, quotes, brackets or invisible characters.", func(email, _, _ string) bool {
		return strings.IndexFunc(email, notInEmail) < 0
	}},
	{"email_dots", "An email address has no dot at the start or end of a part, nor two together.", func(_, local, domain string) bool {
		return !strings.HasPrefix(local, ".") && !strings.HasSuffix(local, ".") &&
			!strings.HasPrefix(domain, ".") && !strings.HasSuffix(domain, ".") &&
			!strings.Contains(local, "..") && !strings.Contains(domain, "..")
	}},
}

// NormalizeEmail returns the one spelling of an address: Unicode NFKC, outer
// spaces trimmed, lower case, an internationalised domain in its letters, whether it
// came in them or as xn--. It is the key of the user's row, of the limits and
// of the CLI alike, so two spellings of one address never count as two. Fault:
// Invalid ("invalid_email"). NormalizeEmail of its own answer is its answer.
func NormalizeEmail(s string) (string, error) {
	if len(s) > 4*maxEmail || !utf8.ValidString(s) {
		return "", invalidEmail("email_length", "An email address has at most 254 bytes of UTF-8.")
	}
	email := strings.TrimSpace(fold(s))
	if fold(email) != email {
		return "", invalidEmail("email_spelling", "This email address has no single spelling.")
	}
	local, domain, found := strings.Cut(email, "@")
	if found && strings.Count(email, "@") == 1 {
		domain = oneDomain(domain)
		email = local + "@" + domain
	}
	for _, c := range emailChecks {
		if !c.fits(email, local, domain) {
			return "", invalidEmail(c.name, c.detail)
		}
	}
	return email, nil
}

// oneDomain returns the one spelling of a domain: with Unicode letters where it has
// any (RFC 5891), and without the dot of the root (RFC 1034 section 3.1). What no
// resolver would look up stays as it is, for the checks.
func oneDomain(domain string) string {
	domain = strings.TrimSuffix(domain, ".")
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return domain
	}
	letters, err := idna.Lookup.ToUnicode(ascii)
	if err != nil || notOneSpelling(letters) {
		return domain
	}
	return letters
}

// OldSpelling returns how an address that NormalizeEmail gave may stand in the row of
// a user who was made before domains had one spelling: it is the same for most.
func OldSpelling(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return email
	}
	return local + "@" + ascii
}

// notOneSpelling reports whether folding changes a domain: such a one would not be
// the answer to itself.
func notOneSpelling(domain string) bool { return fold(domain) != domain }

// fold lowers after normalising, since NFKC turns some letters into capitals, and
// normalises again, since a lowered letter may compose with what follows.
func fold(s string) string {
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(s)))
}

func notInEmail(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`"(),:;<>[\]`, r)
}

func invalidEmail(rule, detail string) error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_email", Detail: detail, Rule: rule}
}
