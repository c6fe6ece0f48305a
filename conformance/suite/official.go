package suite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Configuration is what the OpenID Foundation's suite wants to know of a server:
// where it is, which applications are registered there, and how its pages are
// filled in. A run of ours reads the same.
type Configuration struct {
	Alias            string              `json:"alias"`
	Description      string              `json:"description,omitempty"`
	Server           ConfiguredServer    `json:"server"`
	Client           ConfiguredClient    `json:"client"`
	Client2          ConfiguredClient    `json:"client2"`
	ClientSecretPost ConfiguredClient    `json:"client_secret_post"`
	Browser          []Automation        `json:"browser"`
	Override         map[string]Override `json:"override,omitempty"` // by module
}

// A ConfiguredServer is where the server is.
type ConfiguredServer struct {
	DiscoveryURL string `json:"discoveryUrl"`
	LoginHint    string `json:"login_hint,omitempty"`
}

// A ConfiguredClient is an application registered beforehand.
type ConfiguredClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// An Override is what one module does otherwise.
type Override struct {
	Browser []Automation      `json:"browser,omitempty"`
	Client  *ConfiguredClient `json:"client,omitempty"` // one that is told of the end of a session
}

// An Automation fills in the pages that follow an address.
type Automation struct {
	Match string `json:"match"`                 // where the browser is sent, * is anything
	Limit int    `json:"match-limit,omitempty"` // how often it counts; 0 is always
	Tasks []Task `json:"tasks"`
}

// A Task fills in one page, if the browser is there.
type Task struct {
	Task     string  `json:"task"`
	Optional bool    `json:"optional,omitempty"`
	Match    string  `json:"match,omitempty"`
	Commands [][]any `json:"commands,omitempty"`
}

// Official describes a deployment to the official suite.
type Official struct {
	Issuer, Alias   string
	Redirect        string // of the official suite, for the alias
	Login, Password string
	Clients         [3]Client // two with client_secret_basic, one with client_secret_post
	Told            [2]Client // by back channel and by front channel, in the modules about that alone
}

// Configuration writes the description.
func (o Official) Configuration() Configuration {
	client := func(c Client) ConfiguredClient { return ConfiguredClient{c.ID, c.Secret} }
	back, front := client(o.Told[0]), client(o.Told[1])
	again := []Automation{o.signIn(0, "", 1), o.signIn(1, "update-image-placeholder", 1)} // a picture of the second sign-in is wanted
	asked := []Automation{o.signIn(0, "", 0), o.signOut("confirm")}
	return Configuration{
		Alias: o.Alias, Description: "Gatekeeper at " + o.Issuer,
		Server: ConfiguredServer{DiscoveryURL: o.Issuer + DiscoveryPath, LoginHint: o.Login},
		Client: client(o.Clients[0]), Client2: client(o.Clients[1]), ClientSecretPost: client(o.Clients[2]),
		Browser: []Automation{o.signIn(0, "", 0), o.signOut("")},
		Override: map[string]Override{
			"oidcc-prompt-login":                               {Browser: again},
			"oidcc-max-age-1":                                  {Browser: again},
			"oidcc-registration-logo-uri":                      {Browser: []Automation{o.picture("login*")}},
			"oidcc-registration-policy-uri":                    {Browser: []Automation{o.picture("login*")}},
			"oidcc-registration-tos-uri":                       {Browser: []Automation{o.picture("login*")}},
			"oidcc-rp-initiated-logout-no-id-token-hint":       {Browser: asked},
			"oidcc-rp-initiated-logout-bad-id-token-hint":      {Browser: asked},
			"oidcc-rp-initiated-logout-modified-id-token-hint": {Browser: asked},
			"oidcc-backchannel-rp-initiated-logout":            {Client: &back},
			"oidcc-frontchannel-rp-initiated-logout":           {Client: &front, Browser: []Automation{o.signIn(0, "", 0), o.signOut("continue")}},
		},
	}
}

// signIn fills in what follows an authorization request. The person types their
// address, unless they sign in again: then the page has it already, and it cannot be
// changed. picture is taken of the sign-in page, "" of none.
func (o Official) signIn(again int, picture string, limit int) Automation {
	fill := [][]any{{"text", "id", "login", o.Login}, {"text", "id", "password", o.Password}, {"click", "id", "submit"}}[again:]
	if picture != "" {
		fill = slices.Concat([][]any{{"wait", "id", "password", 10, ".*", picture}}, fill)
	}
	return Automation{Match: o.Issuer + "/oauth2/authorize*", Limit: limit, Tasks: []Task{
		{Task: "Sign in", Optional: true, Match: o.Issuer + "/login*", Commands: fill},
		{Task: "Consent", Optional: true, Match: o.Issuer + "/consent*", Commands: [][]any{{"click", "id", "consent-accept"}}},
		{
			Task: "Error page", Optional: true, Match: o.Issuer + "/oauth2/authorize*",
			Commands: [][]any{{"wait", "xpath", "//h1", 10, ".*", "update-image-placeholder-optional"}},
		},
		{Task: verifyTask, Optional: true, Match: o.Redirect + "*", Commands: [][]any{{"wait", "id", "submission_complete", 10}}},
	}}
}

const verifyTask = "Verify complete"

// signOut confirms a logout where that is asked for. of says what else is wanted: a
// picture of the page that asks ("confirm"), or a press of the button that leads on
// ("continue"), which a browser without the page's script needs.
func (o Official) signOut(of string) Automation {
	page := o.Issuer + "/oidc/logout*"
	confirm, end := [][]any{{"click", "id", "logout-confirm", "optional"}}, [][]any{{"wait", "xpath", "//h1", 10, ".*", "update-image-placeholder-optional"}}
	switch of {
	case "confirm":
		confirm = slices.Concat(end, confirm)
	case "continue":
		end = [][]any{{"click", "id", "continue", "optional"}}
	}
	return Automation{Match: page, Tasks: []Task{
		{Task: "Confirm", Optional: true, Match: page, Commands: confirm},
		{Task: "Signed out", Optional: true, Match: page, Commands: end},
		{Task: "Back", Optional: true, Match: strings.TrimSuffix(o.Redirect, "/callback") + "/post_logout_redirect*"},
	}}
}

// picture takes a picture of a page and stops there.
func (o Official) picture(page string) Automation {
	return Automation{Match: o.Issuer + "/oauth2/authorize*", Tasks: []Task{{
		Task: "Picture", Match: o.Issuer + "/" + page, Commands: [][]any{{"wait", "xpath", "//h1", 10, ".*", "update-image-placeholder"}},
	}}}
}

// ReadOfficial reads what Configuration wrote, and returns it whole besides.
func ReadOfficial(text []byte) (Official, *Configuration, error) {
	var c Configuration
	if err := json.Unmarshal(text, &c); err != nil {
		return Official{}, nil, fmt.Errorf("read the configuration: %w", err)
	}
	o := Official{Issuer: strings.TrimSuffix(c.Server.DiscoveryURL, DiscoveryPath), Alias: c.Alias}
	for _, a := range c.Browser {
		for _, t := range a.Tasks {
			if t.Task == verifyTask {
				o.Redirect = strings.TrimSuffix(t.Match, "*")
			}
			for _, cmd := range t.Commands {
				o.typed(cmd)
			}
		}
	}
	after := strings.TrimSuffix(o.Redirect, "/callback") + "/post_logout_redirect"
	for i, k := range []ConfiguredClient{c.Client, c.Client2, c.ClientSecretPost} {
		method := [...]string{"client_secret_basic", "client_secret_basic", "client_secret_post"}[i]
		o.Clients[i] = Client{ID: k.ID, Secret: k.Secret, AuthMethod: method, RedirectURIs: []string{o.Redirect}, AfterLogout: []string{after}}
	}
	if o.Issuer == "" || o.Redirect == "" || o.Login == "" || o.Clients[0].ID == "" {
		return Official{}, nil, Failf("it does not say where the server is, who signs in, and to what")
	}
	for i, module := range []string{"oidcc-backchannel-rp-initiated-logout", "oidcc-frontchannel-rp-initiated-logout"} {
		if k := c.Override[module].Client; k != nil {
			o.Told[i] = Client{ID: k.ID, Secret: k.Secret, AuthMethod: "client_secret_basic", RedirectURIs: []string{o.Redirect}, AfterLogout: []string{after}}
		}
	}
	return o, &c, nil
}

// typed takes from a command who signs in.
func (o *Official) typed(command []any) {
	if len(command) < 4 || command[0] != "text" {
		return
	}
	value, _ := command[3].(string)
	switch command[2] {
	case "login":
		o.Login = value
	case "password":
		o.Password = value
	}
}
