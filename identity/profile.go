package identity

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zone names are known on machines that carry none
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

const (
	maxProfileText = 256  // characters
	maxAddressText = 1024 // characters of a formatted address, which has lines
	maxURL         = 2048 // bytes
	maxRoles       = 32
)

var (
	phonePattern = regexp.MustCompile(`^\+?[0-9][0-9 ().-]{2,30}(;ext=[0-9]{1,10})?$`) // E.164 (with RFC 3966 extension) recommended
	rolePattern  = regexp.MustCompile(`^[a-z][a-z0-9_.:-]{0,63}$`)
)

// profileChecks are the shapes of the standard claims (OpenID Connect Core
// section 5.1). An empty field fits always.
var profileChecks = []struct {
	name, detail string
	fits         func(p Profile) bool
}{
	{"profile_text", "A name, nickname or gender has at most 256 characters, all visible.", func(p Profile) bool {
		return all(func(s string) bool { return line(s, maxProfileText) },
			p.Name, p.GivenName, p.FamilyName, p.MiddleName, p.Nickname, p.PreferredUsername, p.Gender)
	}},
	{"profile_url", "The profile, picture and website are http or https URLs of at most 2048 bytes.", func(p Profile) bool {
		return all(webURL, p.ProfileURL, p.Picture, p.Website)
	}},
	{"profile_birthdate", "A birthdate reads YYYY-MM-DD, 0000-MM-DD or YYYY.", func(p Profile) bool {
		return all(birthdate, p.Birthdate)
	}},
	{"profile_zoneinfo", "A zoneinfo is a name of the IANA time zone database, such as Europe/Berlin.", func(p Profile) bool {
		return all(zone, p.Zoneinfo)
	}},
	{"profile_locale", "A locale is a BCP 47 language tag, such as de-AT.", func(p Profile) bool {
		return all(locale, p.Locale)
	}},
	{"profile_phone", "A phone number reads like +49 30 123456, with ;ext=12 for an extension.", func(p Profile) bool {
		return all(phonePattern.MatchString, p.PhoneNumber) && (p.PhoneNumber != "" || !p.PhoneNumberVerified)
	}},
	{"profile_address", "An address has at most 256 visible characters in each part, 1024 when formatted.", func(p Profile) bool {
		a := p.Address
		return a == nil || len(a.Formatted) <= maxURL && line(strings.ReplaceAll(strings.ReplaceAll(a.Formatted, "\r\n", " "), "\n", " "), maxAddressText) &&
			all(func(s string) bool { return line(s, maxProfileText) }, a.StreetAddress, a.Locality, a.Region, a.PostalCode, a.Country)
	}},
}

// checkProfile returns a fault Invalid ("invalid_profile") that names the first
// check p does not pass, or nil.
func checkProfile(p Profile) error {
	for _, c := range profileChecks {
		if !c.fits(p) {
			return &fault.Error{Kind: fault.Invalid, Code: "invalid_profile", Detail: c.detail, Rule: c.name}
		}
	}
	return nil
}

// checkRoles returns roles sorted and without repetition, or a fault Invalid
// ("invalid_role").
func checkRoles(roles []string) ([]string, error) {
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	for _, r := range roles {
		if !rolePattern.MatchString(r) {
			return nil, &fault.Error{
				Kind: fault.Invalid, Code: "invalid_role", Rule: "role_name",
				Detail: "A role is a lower-case letter and up to 63 letters, digits or _ . : - behind it.",
			}
		}
	}
	if len(roles) > maxRoles {
		return nil, &fault.Error{
			Kind: fault.Invalid, Code: "invalid_role", Rule: "role_count",
			Detail: "A user has at most " + strconv.Itoa(maxRoles) + " roles.",
		}
	}
	return roles, nil
}

// all reports whether every one of values that is not empty fits.
func all(fits func(string) bool, values ...string) bool {
	return !slices.ContainsFunc(values, func(s string) bool { return s != "" && !fits(s) })
}

func line(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && strings.IndexFunc(s, Misleading) < 0
}

// Misleading reports whether r has no place in a name that people read: a control
// character, a line break, or one of those that turn letters around to look like
// others (Unicode Technical Report 36 section 2.6). The marks of direction, which
// names in Arabic and Hebrew need, are none of them.
func Misleading(r rune) bool {
	return unicode.IsControl(r) || r >= 0x2028 && r <= 0x202E || r >= 0x2066 && r <= 0x2069
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && strings.IndexFunc(s, Misleading) < 0 && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

func birthdate(s string) bool {
	layout := time.DateOnly
	switch {
	case len(s) == len("2006"):
		layout = "2006"
	case strings.HasPrefix(s, "0000-"):
		s = "2000" + s[len("0000"):] // a leap year: 0000-02-29 is a birthday
	}
	_, err := time.Parse(layout, s)
	return err == nil
}

func zone(s string) bool {
	_, err := time.LoadLocation(s)
	return err == nil && s != "Local"
}

func locale(s string) bool {
	_, err := language.Parse(s)
	return err == nil && len(s) <= 35
}
