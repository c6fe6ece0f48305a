package templates

import (
	"hash/fnv"
	"html"
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
	Links Links
}

// Links are the addresses an application gives for itself, "" for none. Nobody has
// checked them.
type Links struct {
	Home, Policy, Terms string
	Logo                bool // there is an image of it below LogoPath
}

// Any reports whether there is a link to show.
func (l Links) Any() bool { return l.Home != "" || l.Policy != "" || l.Terms != "" }

// LogoPath is where the pages expect the images of applications.
const LogoPath = "/logo/"

// LogoURL is where the image of the application is, on this server.
func (a App) LogoURL() string { return LogoPath + url.PathEscape(a.ID) }

// badgeHues are the style sheet's colours by daylight.
var badgeHues = [hues]string{"#8a3b2c", "#6d5310", "#2f6136", "#1f5c78", "#4f4a94", "#84386b"}

// Badge is the initial as an image (SVG), for where the application's own cannot
// be had.
func (a App) Badge() []byte {
	n, _ := strconv.Atoi(a.Hue()) // a number below hues
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 56 56" width="56" height="56"><rect width="56" height="56" fill="` + badgeHues[n] +
		`"/><text x="28" y="36.5" font-family="Georgia, serif" font-size="24" font-weight="500" text-anchor="middle" fill="#ffffff">` +
		html.EscapeString(a.Initial()) + `</text></svg>`)
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

// Initial is the letter that stands for the application where it has no image.
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
