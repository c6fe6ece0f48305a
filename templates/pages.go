package templates

import (
	"html/template"
	"strings"
	"time"
)

// A Form is what every form carries unseen: where it goes, the token that proves
// it came from us, and what the handler wants to have back.
type Form struct {
	Action string // a path on this server
	CSRF   string // web.Mux.FormToken
	Fields []Field
}

// A Field is one hidden input.
type Field struct{ Name, Value string }

// A Refused answer is shown above the form it belongs to. Its zero value shows
// nothing.
type Refused struct {
	Key       string // of the sentence in the catalogue, such as "refused.invalid_credentials"
	Text      string // said instead, in English, where there is no such sentence
	Wait      int    // whole seconds until another try makes sense
	Min       int    // characters a password must have
	Reference string // what an operator can ask for
}

// Shown reports whether there is anything to say.
func (r Refused) Shown() bool { return r.Key != "" || r.Text != "" }

// OfPassword reports whether the new password is to be mended: only the field that is
// gets marked.
func (r Refused) OfPassword() bool { return strings.HasPrefix(r.Key, "refused.password_") }

// OfEmail reports whether the address is to be mended.
func (r Refused) OfEmail() bool { return r.Key == "refused.invalid_email" }

// OfName reports whether the name is to be mended.
func (r Refused) OfName() bool { return r.Key == "refused.profile_text" }

// Login is the sign-in page.
type Login struct {
	Locale
	Form    Form
	App     App // zero when nobody asked
	Login   string
	Fixed   bool   // Login is who is signed in and has to prove it again
	Reason  string // "", "again" or "other": why a signed-in person is asked
	Notice  string // "" or "signup": what has just happened
	Refused Refused
	SignUp  string // URL of the sign-up page, "" when it is closed
	Closed  bool   // the application asked for the sign-up page, which is closed
	Switch  string // URL that shows this page for somebody else; with Fixed
	Cancel  *Form  // tells the application no; nil when nobody asked
}

func (Login) page() string { return "login" }

// Replace asks for a new password where somebody else chose the old one.
type Replace struct {
	Locale
	Form        Form
	App         App // zero when nobody asked
	Login       string
	MinPassword int
	Refused     Refused
}

func (Replace) page() string { return "replace" }

// SelectAccount asks which account to go on with.
type SelectAccount struct {
	Locale
	Form   Form
	App    App
	Person Person
	Other  string // URL of the sign-in page for somebody else
}

func (SelectAccount) page() string { return "select" }

// SignUp is the page where people make their own account.
type SignUp struct {
	Locale
	Form        Form
	App         App
	Name, Login string
	MinPassword int
	Refused     Refused
	SignIn      string // URL of the sign-in page
}

func (SignUp) page() string { return "signup" }

// Setup creates the first administrator.
type Setup struct {
	Locale
	Form        Form
	Name, Login string
	MinPassword int
	Refused     Refused
}

func (Setup) page() string { return "setup" }

// Consent asks what an application may do.
type Consent struct {
	Locale
	Form   Form
	App    App
	Person Person
	Scopes []Scope
	Known  []Scope       // allowed before, not asked again
	Switch string        // URL of the sign-in page for somebody else
	Device *AskingDevice // asks through a code, nil for an application in the browser
}

func (Consent) page() string { return "consent" }

// An AskingDevice is the device that gets what a person allows (RFC 8628 section 3.3).
type AskingDevice struct {
	Code            string // as the device shows it
	Browser, System string // "" if unknown
	Address         string // "" if unknown
	Asked           time.Time
}

// Connect is the page where a person types the code a device shows, or learns what
// came of it.
type Connect struct {
	Locale
	Form    Form
	Code    string // typed, or prefilled by a link
	Refused Refused
	Done    string // "" asks for a code; else "approved", "denied" or "expired"
}

func (Connect) page() string { return "device" }

// A Scope is one permission in plain words: those of the catalogue under
// "scope.NAME", or its name where there are none.
type Scope struct {
	Name  string
	Value string // what the application would see, such as the person's address
}

// LogoutConfirm asks whether to sign out (RP-Initiated Logout 1.0 section 2).
type LogoutConfirm struct {
	Locale
	Form        Form
	Application string // who asked, "" if unknown
	User        string // who is signed in
}

func (LogoutConfirm) page() string { return "logout" }

// SignedOut is the end of a sign-out. With Frames it tells applications through
// the browser (Front-Channel Logout 1.0 section 3), and with Onward it goes on by
// itself when that is done.
type SignedOut struct {
	Locale
	Application string       // "" if unknown
	ReturnURL   string       // "" if there is nowhere to return to
	Frames      []string     // addresses to load, unseen
	Onward      template.URL // "" to stay; an address that is registered, whatever its scheme
}

func (SignedOut) page() string { return "signedout" }

// Problem tells a person that something was refused or failed.
type Problem struct {
	Locale
	Status    int    // of HTTP; picks the title in the page's language, where Code does not
	Title     string // where neither picks one
	Rule      string // what decided; picks the reason in the page's language
	Detail    string // the reason, in English, where Rule picks none
	Code      string // what developers know it by, "" to leave it out
	Reference string // "" if nobody could look it up
	Again     string // URL of the page to try once more, "" if that does not help
	Facts     []Fact // shown in development only
}

// A Fact is one row of a decision trace.
type Fact struct{ Name, Value string }

func (Problem) page() string { return "problem" }

// FormPost hands an authorization response to the application (OAuth 2.0 Form
// Post Response Mode); it works without script through a visible button.
type FormPost struct {
	Locale
	Action string // the validated redirect URI
	Fields []Field
}

func (FormPost) page() string { return "form_post" }

// Account is what a signed-in person sees of themselves.
type Account struct {
	Locale
	CSRF        string
	Person      Person
	Facts       []Fact // Name is a key under "fact."
	Sessions    []Device
	Apps        []ConnectedApp
	Done        string // "" or what has just been done: a key under "account.done."
	Refused     Refused
	MinPassword int
	Paths       AccountPaths
}

// AccountPaths are where the forms of the account page go, and its next page.
type AccountPaths struct {
	Password, EndSession, RevokeApp, SignOut string
	MoreApps                                 string // "" if every application is shown
}

func (Account) page() string { return "account" }

// A Device is one signed-in browser.
type Device struct {
	ID              string
	Browser, System string // "Firefox", "Linux"; "" if unknown
	Address         string
	SignedIn, Seen  time.Time
	This            bool // the one that looks
}

// A ConnectedApp is an application that was allowed something.
type ConnectedApp struct {
	ID     string
	App    App
	Scopes []Scope
	Since  time.Time
}
