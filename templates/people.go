package templates

import (
	"hash/fnv"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// hues is how many colours the style sheet has for avatars.
const hues = 6

// An App is an application as people are told of it. The name is what its
// operator wrote; the host is where the answer goes, and cannot be made up.
type App struct {
	ID    string
	Name  string
	Host  string // of the redirect URI; "" for Local
	Local bool   // a program on the person's device: nobody can say who made it
}

// NewApp describes an application by its id, its name ("" shows the id) and the
// checked redirect URI the answer will go to ("" if unknown).
func NewApp(id, name, redirectURI string) App {
	a := App{ID: id, Name: name}
	if strings.TrimSpace(Plain(name)) == "" {
		a.Name = id
	}
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil || redirectURI == "":
	case u.Scheme != "https" && u.Scheme != "http", loopback(u.Hostname()):
		a.Local = true
	default:
		a.Host = u.Host
	}
	return a
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// Known reports whether there is an application to speak of.
func (a App) Known() bool { return a.ID != "" }

// Initial is the letter that stands for the application where others show an
// image: we fetch none, and no image can pretend to be somebody else's.
func (a App) Initial() string { return initial(a.Name) }

// Hue picks one of the style sheet's colours, always the same for one id.
func (a App) Hue() string { return hue(a.ID) }

// A Person is who is signed in.
type Person struct {
	ID    string
	Name  string // "" if unknown
	Email string
}

// Called is the name, or the address where there is none.
func (p Person) Called() string {
	if strings.TrimSpace(Plain(p.Name)) == "" {
		return p.Email
	}
	return p.Name
}

// Initial is the letter that stands for the person.
func (p Person) Initial() string { return initial(p.Called()) }

// Hue picks one of the style sheet's colours.
func (p Person) Hue() string { return hue(p.ID) }

func initial(s string) string {
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "•"
}

func hue(s string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // never fails
	return strconv.Itoa(int(h.Sum32() % hues))
}

// Plain returns s without control characters and without those that turn or
// isolate the direction of text: a name cannot rearrange the sentence it is in.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u200e', r == '\u200f', r == '\u061c',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
}
