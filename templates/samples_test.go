package templates

import "time"

// samples returns every page in every state worth looking at, by the name of its
// golden file.
func samples() map[string]Page {
	shop := NewApp("shop", "The Shop", "https://shop.example/callback")
	linked := shop
	linked.Links = Links{Home: "https://shop.example/", Policy: "https://shop.example/privacy", Terms: "https://shop.example/terms", Logo: true}
	tool := NewApp("tool", "", "http://127.0.0.1:9/callback")
	ana := Person{ID: "7b1f", Name: "Ana Example", Email: "ana@example.org"}
	form := Form{Action: "/login", CSRF: "token", Fields: []Field{{"i", "interaction-1"}}}
	cancel := &Form{Action: "/login/cancel", CSRF: "token", Fields: []Field{{"i", "interaction-1"}}}
	wrong := Refused{Key: "refused.invalid_credentials", Reference: "K7QM-2FXA"}
	at := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	enter := Form{Action: "/device", CSRF: "token"}
	tv := &AskingDevice{Code: "WDJB-MJHT", Browser: "Chrome", System: "LG TV", Address: "203.0.113.7", Asked: at}
	login := Login{Form: form, App: shop, SignUp: "/signup?i=interaction-1", Cancel: cancel}
	scopes := []Scope{
		{Name: "openid"},
		{Name: "profile", Value: "Ana Example"},
		{Name: "email", Value: "ana@example.org"},
		{Name: "offline_access"},
		{Name: "reports:write"},
	}
	with := func(l Login, change func(*Login)) Login { change(&l); return l }
	return map[string]Page{
		"login":         login,
		"login_de":      with(login, func(l *Login) { l.Locale = "de" }),
		"login_refused": with(login, func(l *Login) { l.Login, l.Refused = "ana@example.org", wrong }),
		"login_limited": with(login, func(l *Login) {
			l.Login, l.Refused = "ana@example.org", Refused{Key: "refused.too_many_attempts", Wait: 40, Reference: "K7QM-2FXA"}
		}),
		"login_again": with(login, func(l *Login) {
			l.Login, l.Fixed, l.Reason, l.Switch, l.SignUp = "ana@example.org", true, "again", "/login?i=interaction-1&as=other", ""
		}),
		"login_linked":    with(login, func(l *Login) { l.App = linked }),
		"login_other":     with(login, func(l *Login) { l.Reason = "other" }),
		"login_signed_up": with(login, func(l *Login) { l.Notice, l.Login = "signup", "" }),
		"login_closed":    with(login, func(l *Login) { l.Closed, l.SignUp = true, "" }),
		"login_alone":     Login{Form: Form{Action: "/login", CSRF: "token"}},
		"select":          SelectAccount{Form: form, App: shop, Person: ana, Other: "/login?i=interaction-1&as=other"},
		"signup":          SignUp{Form: form, App: shop, MinPassword: 15, SignIn: "/login?i=interaction-1&as=other"},
		"signup_refused": SignUp{Form: form, App: shop, Name: "Ana", Login: "ana@example.org", MinPassword: 15, SignIn: "/login", Refused: Refused{
			Key: "refused.password_length", Min: 15, Reference: "K7QM-2FXA",
		}},
		"setup":             Setup{Form: Form{Action: "/setup/abc", CSRF: "token"}, MinPassword: 15},
		"consent":           Consent{Form: form, App: shop, Person: ana, Scopes: scopes, Switch: "/login?i=interaction-1&as=other"},
		"consent_linked":    Consent{Form: form, App: linked, Person: ana, Scopes: scopes, Switch: "/login?i=interaction-1&as=other"},
		"consent_linked_de": Consent{Locale: "de", Form: form, App: linked, Person: ana, Scopes: scopes[:1], Switch: "/login?i=interaction-1&as=other"},
		"consent_de":        Consent{Locale: "de", Form: form, App: shop, Person: ana, Scopes: scopes[3:], Known: scopes[:3], Switch: "/login?i=interaction-1&as=other"},
		"consent_local": Consent{
			Form: form, App: tool, Person: Person{ID: "9", Email: "ben@example.org"}, Scopes: scopes[:1], Switch: "/login?i=interaction-1&as=other",
		},
		"consent_device":    Consent{Form: form, App: NewApp("tv", "The Player", ""), Person: ana, Scopes: scopes, Device: tv, Switch: "/login?i=interaction-1&as=other"},
		"consent_device_de": Consent{Locale: "de", Form: form, App: NewApp("tv", "The Player", ""), Person: ana, Scopes: scopes[:1], Device: &AskingDevice{Code: "WDJB-MJHT", Asked: at}, Switch: "/login?i=interaction-1&as=other"},
		"device":            Connect{Form: enter},
		"device_de":         Connect{Locale: "de", Form: enter, Code: "WDJB-MJHT"},
		"device_refused":    Connect{Form: enter, Code: "WDJB-MJH", Refused: Refused{Key: "refused.invalid_user_code", Reference: "K7QM-2FXA"}},
		"device_limited":    Connect{Form: enter, Code: "WDJB-MJHT", Refused: Refused{Key: "refused.too_many_attempts", Wait: 40, Reference: "K7QM-2FXA"}},
		"device_approved":   Connect{Form: enter, Done: "approved"},
		"device_denied":     Connect{Locale: "de", Form: enter, Done: "denied"},
		"device_expired":    Connect{Form: enter, Done: "expired"},
		"logout":            LogoutConfirm{Form: form, Application: "The Shop", User: "ana@example.org"},
		"logout_alone":      LogoutConfirm{Form: form, User: "ana@example.org"},
		"signedout":         SignedOut{Application: "The Shop", ReturnURL: "https://shop.example/bye"},
		"signedout_alone":   SignedOut{},
		"signedout_frames": SignedOut{
			Application: "The Shop", Onward: "https://shop.example/bye?a=b&state=s%26t",
			Frames: []string{"https://shop.example/out?iss=https%3A%2F%2Fid.example&sid=1", "https://tool.example/out?iss=https%3A%2F%2Fid.example&sid=1"},
		},
		"signedout_frames_de": SignedOut{Locale: "de", Frames: []string{"https://tool.example/out?sid=1"}},
		"signedout_native":    SignedOut{Onward: "org.example.app:/bye", Frames: []string{"https://tool.example/out?sid=1"}},
		"problem":             Problem{Status: 400, Title: "x", Detail: "The redirect address is not registered for this application.", Reference: "K7QM-2FXA"},
		"problem_dev": Problem{Locale: "de", Title: "This request cannot be answered", Detail: "The redirect address is not registered for this application.", Reference: "K7QM-2FXA", Facts: []Fact{
			{"rule", "redirect_uri_registered"}, {"received", "https://shop.example/callback/"}, {"registered", "https://shop.example/callback"},
		}},
		"form_post": FormPost{Action: "https://shop.example/callback", Fields: []Field{{"code", "gk_ac_1"}, {"state", `"><script>`}, {"iss", "https://id.example"}}},
		"account": Account{
			CSRF: "token", Person: ana, MinPassword: 15, Done: "session",
			Facts: []Fact{{"name", "Ana Example"}, {"email", "ana@example.org"}, {"zoneinfo", "Europe/Vienna"}, {"id", "7b1f1c52-6a55-4d3c-9c39-0d2f6b2a9e10"}},
			Sessions: []Device{
				{ID: "s1", Browser: "Firefox", System: "Linux", Address: "203.0.113.7", SignedIn: at, Seen: at, This: true},
				{ID: "s2", Browser: "Safari", System: "iPhone", Address: "2001:db8::7", SignedIn: at.Add(-50 * time.Hour), Seen: at.Add(-3 * time.Hour)},
				{ID: "s3", SignedIn: at.Add(-90 * time.Hour), Seen: at.Add(-80 * time.Hour)},
			},
			Apps: []ConnectedApp{
				{ID: "shop", App: shop, Scopes: scopes, Since: at.Add(-900 * time.Hour)},
				{ID: "tool", App: tool, Scopes: scopes[:1], Since: at.Add(-90 * time.Hour)},
			},
			Paths: AccountPaths{Password: "/account/password", EndSession: "/account/sessions/end", RevokeApp: "/account/apps/revoke", SignOut: "/oidc/logout/confirm", MoreApps: "/account?apps=dG9vbA#apps"},
		},
		"account_bare": Account{
			CSRF: "token", Person: Person{ID: "9", Email: "ben@example.org"}, MinPassword: 15, Facts: []Fact{{"email_unverified", "ben@example.org"}},
			Sessions: []Device{{ID: "s1", Browser: "Chrome", System: "Windows", SignedIn: at, Seen: at, This: true}},
			Refused:  Refused{Key: "refused.wrong_password", Reference: "K7QM-2FXA"},
		},
	}
}
