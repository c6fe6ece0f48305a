package admin

import (
	"cmp"
	"context"
	"log/slog"
	"reflect"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/consent"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/web"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// A route is one row of the table that is mounted, checked and documented.
type route struct {
	method, path string
	name         string // operationId, unique
	summary      string
	scopes       []string // any one of them opens it
	query        []parameter
	work
	guarded bool // it takes If-Match
}

// A parameter is one of the query.
type parameter struct{ name, kind, about string }

// work is what a route does, with the types it reads and writes; nil for none.
type work struct {
	in, out reflect.Type
	status  int
	serve   func(r request, body func(into any) error) (any, error)
}

// The bodies that are not a type of the API themselves.
type (
	clientReplacement struct{ oauth2.Client }
	userReplacement   struct{ identity.User }

	clientPage struct {
		Clients []oauth2.Client `json:"clients"`
		Next    string          `json:"next,omitempty"`
	}
	userPage struct {
		Users []identity.User `json:"users"`
		Next  string          `json:"next,omitempty"`
	}
	sessionList struct {
		Sessions []Session `json:"sessions"`
	}
	consentPage struct {
		Consents []consent.Consent `json:"consents"`
		Next     string            `json:"next,omitempty"`
	}
	initialTokenList struct {
		Tokens []oauth2.InitialToken `json:"tokens"`
	}
	keyList struct {
		Keys []keys.Listed `json:"keys"`
	}
	eventList struct {
		Events []audit.Event `json:"events"`
	}
	warningList struct {
		Warnings []string `json:"warnings"`
	}
	lockInput struct {
		Reason string `json:"reason,omitempty"`
	}
	passwordInput struct {
		Password string `json:"password"`
	}
	rotateKeysInput struct {
		Alg *string `json:"alg,omitempty"` // none rotates every algorithm
		Now bool    `json:"now,omitempty"` // sign with the new key at once
	}
	tokenInput struct {
		Token string `json:"token"`
	}
	setupLink struct {
		URL string `json:"url"`
	}
)

// routes is the whole API.
func routes(api API) []route {
	var all []route
	for _, part := range [][]route{clientRoutes(api), registrationRoutes(api), userRoutes(api), personRoutes(api), keyRoutes(api), trailRoutes(api)} {
		all = append(all, part...)
	}
	return all
}

// noteWarnings puts what will not work of an application into the line that the log
// has of its change.
func noteWarnings(r request, api API, id string) {
	if all, err := api.ClientWarnings(r.Context(), id); err == nil && len(all) > 0 {
		web.Note(r.Context(), slog.Any("warnings", all))
	}
}

func clientRoutes(api API) []route {
	read, write := []string{ScopeAll, ScopeClients, ScopeRead}, []string{ScopeAll, ScopeClients}
	return []route{
		{"GET", "/clients", "listClients", "List applications", read, paging(), answer(func(r request) (clientPage, error) {
			p, err := r.page()
			if err != nil {
				return clientPage{}, err
			}
			clients, next, err := api.Clients(r.Context(), p)
			return clientPage{some(clients), next}, err
		}), false},
		{"POST", "/clients", "createClient", "Register an application; its secret is shown this once", write, trial(), created(func(r request, in ClientInput) (ClientWithSecret, error) {
			ctx, err := r.trying()
			if err != nil {
				return ClientWithSecret{}, err
			}
			made, err := api.CreateClient(ctx, in)
			if err == nil && !isTrial(ctx) {
				noteWarnings(r, api, made.ID)
			}
			return made, err
		}), false},
		{"GET", "/clients/{id}", "getClient", "Show an application", read, nil, answer(func(r request) (oauth2.Client, error) {
			return api.Client(r.Context(), r.PathValue("id"))
		}), false},
		{"PUT", "/clients/{id}", "replaceClient", "Replace an application, but for its secrets", write, trial(), exchange(replaceClient(api)), true},
		{"GET", "/clients/{id}/warnings", "listClientWarnings", "Say what is registered of an application and will not work", read, nil, answer(func(r request) (warningList, error) {
			all, err := api.ClientWarnings(r.Context(), r.PathValue("id"))
			return warningList{some(all)}, err
		}), false},
		{"DELETE", "/clients/{id}", "deleteClient", "Delete an application and revoke what it was granted", write, trial(), done(func(r request) error {
			seen, err := r.seen()
			if err != nil {
				return err
			}
			ctx, err := r.trying()
			if err != nil {
				return err
			}
			return api.DeleteClient(ctx, r.PathValue("id"), seen...)
		}), true},
		{"POST", "/clients/{id}/secret", "rotateSecret", "Give an application a new secret, shown this once", write, nil, exchange(func(r request, in RotateInput) (ClientWithSecret, error) {
			return api.RotateSecret(r.Context(), r.PathValue("id"), in)
		}), false},
	}
}

// replaceClient puts an application in the place of the one at its path.
func replaceClient(api API) func(r request, in clientReplacement) (oauth2.Client, error) {
	return func(r request, in clientReplacement) (oauth2.Client, error) {
		if in.ID != "" && in.ID != r.PathValue("id") {
			return oauth2.Client{}, invalid("id_unchanged", "An id cannot change.")
		}
		in.ID = r.PathValue("id")
		seen, err := r.seen()
		if err != nil {
			return oauth2.Client{}, err
		}
		ctx, err := r.trying()
		if err != nil {
			return oauth2.Client{}, err
		}
		changed, err := api.UpdateClient(ctx, in.Client, seen...)
		if err == nil {
			noteWarnings(r, api, changed.ID)
		}
		return changed, err
	}
}

func registrationRoutes(api API) []route {
	read, write := []string{ScopeAll, ScopeClients, ScopeRead}, []string{ScopeAll, ScopeClients}
	return []route{
		{"GET", "/registration-tokens", "listRegistrationTokens", "List the initial access tokens that let applications register themselves", read, nil, answer(func(r request) (initialTokenList, error) {
			list, err := api.InitialTokens(r.Context())
			return initialTokenList{some(list)}, err
		}), false},
		{"POST", "/registration-tokens", "createRegistrationToken", "Make an initial access token, shown this once", write, nil, created(func(r request, in InitialTokenInput) (InitialTokenWithSecret, error) {
			return api.CreateInitialToken(r.Context(), in)
		}), false},
		{"DELETE", "/registration-tokens/{id}", "revokeRegistrationToken", "Make an initial access token worthless", write, nil, done(func(r request) error {
			return api.RevokeInitialToken(r.Context(), r.PathValue("id"))
		}), false},
	}
}

func userRoutes(api API) []route {
	read, write := []string{ScopeAll, ScopeUsers, ScopeRead}, []string{ScopeAll, ScopeUsers}
	search := append(paging(), parameter{"query", "string", "The beginnings of words: of an address, either half of it, a name, or an id."})
	return []route{
		{"GET", "/users", "listUsers", "List people", read, search, answer(func(r request) (userPage, error) {
			p, err := r.page()
			if err != nil {
				return userPage{}, err
			}
			users, next, err := api.Users(r.Context(), r.query.Get("query"), p)
			return userPage{some(users), next}, err
		}), false},
		{"POST", "/users", "createUser", "Create a person", write, nil, created(func(r request, in UserInput) (identity.User, error) {
			return api.CreateUser(r.Context(), in)
		}), false},
		{"GET", "/users/{id}", "getUser", "Show a person, by id or email", read, nil, answer(func(r request) (identity.User, error) {
			return api.User(r.Context(), r.PathValue("id"))
		}), false},
		{"PUT", "/users/{id}", "replaceUser", "Replace a person", write, nil, exchange(func(r request, in userReplacement) (identity.User, error) {
			have, err := api.User(r.Context(), r.PathValue("id"))
			if err != nil {
				return identity.User{}, err
			}
			if in.ID != "" && in.ID != have.ID {
				return identity.User{}, invalid("id_unchanged", "An id cannot change.")
			}
			in.ID = have.ID
			seen, err := r.seen()
			if err != nil {
				return identity.User{}, err
			}
			return api.UpdateUser(r.Context(), in.User, seen...)
		}), true},
		{"DELETE", "/users/{id}", "deleteUser", "Delete a person", write, nil, done(func(r request) error {
			seen, err := r.seen()
			if err != nil {
				return err
			}
			return api.DeleteUser(r.Context(), r.PathValue("id"), seen...)
		}), true},
		{"PUT", "/users/{id}/lock", "lockUser", "Stop a person from signing in, end every session of theirs and revoke what they granted", write, nil, told(func(r request, in lockInput) error {
			return api.LockUser(r.Context(), r.PathValue("id"), in.Reason)
		}), false},
		{"PUT", "/users/{id}/unlock", "unlockUser", "Let a person sign in again", write, nil, done(func(r request) error {
			return api.UnlockUser(r.Context(), r.PathValue("id"))
		}), false},
		{"PUT", "/users/{id}/password", "setPassword", "Set a person's password and end every session of theirs", write, nil, told(func(r request, in passwordInput) error {
			return api.SetPassword(r.Context(), r.PathValue("id"), in.Password)
		}), false},
	}
}

func personRoutes(api API) []route {
	read, write := []string{ScopeAll, ScopeUsers, ScopeRead}, []string{ScopeAll, ScopeUsers}
	which := []parameter{{"ids", "string", "Only these sessions, separated by commas"}}
	sessions := func(ctx context.Context, user string) (sessionList, error) {
		list, err := api.Sessions(ctx, user)
		return sessionList{some(list)}, err
	}
	return []route{
		{"GET", "/sessions", "listSessions", "List everybody's live sessions, the newest 1000", read, nil, answer(func(r request) (sessionList, error) {
			return sessions(r.Context(), "")
		}), false},
		{"GET", "/users/{id}/sessions", "listUserSessions", "List a person's live sessions", read, nil, answer(func(r request) (sessionList, error) {
			return sessions(r.Context(), r.PathValue("id"))
		}), false},
		{"DELETE", "/users/{id}/sessions", "endSessions", "End sessions of a person, all unless ids says which", write, which, done(func(r request) error {
			ids, err := r.ids("ids")
			if err != nil {
				return err
			}
			if ids == nil {
				return api.EndAllSessions(r.Context(), r.PathValue("id"))
			}
			return api.EndSessions(r.Context(), r.PathValue("id"), ids...)
		}), false},
		{"GET", "/users/{id}/consents", "listConsents", "List what a person has allowed", read, paging(), answer(func(r request) (consentPage, error) {
			p, err := r.page()
			if err != nil {
				return consentPage{}, err
			}
			list, next, err := api.Consents(r.Context(), r.PathValue("id"), p)
			return consentPage{some(list), next}, err
		}), false},
		{"DELETE", "/users/{id}/consents/{client}", "revokeConsent", "Take back what a person allowed an application", write, nil, done(func(r request) error {
			return api.RevokeConsent(r.Context(), r.PathValue("id"), r.PathValue("client"))
		}), false},
	}
}

func keyRoutes(api API) []route {
	read, write := []string{ScopeAll, ScopeKeys, ScopeRead}, []string{ScopeAll, ScopeKeys}
	tokens := []string{ScopeAll, ScopeTokens}
	return []route{
		{"GET", "/keys", "listKeys", "List signing keys", read, nil, answer(func(r request) (keyList, error) {
			list, err := api.Keys(r.Context())
			return keyList{some(list)}, err
		}), false},
		{"POST", "/keys/rotate", "rotateKeys", "Publish new signing keys", write, nil, exchange(func(r request, in rotateKeysInput) (keyList, error) {
			if in.Alg != nil && *in.Alg == "" {
				return keyList{}, invalid("alg_named", "The member alg is empty; name an algorithm, or leave it out for all of them.")
			}
			list, err := api.RotateKeys(r.Context(), *cmp.Or(in.Alg, new(string)), in.Now)
			return keyList{some(list)}, err
		}), false},
		{"DELETE", "/keys/{id}", "revokeKey", "Take a signing key out of use at once", write, nil, done(func(r request) error {
			return api.RevokeKey(r.Context(), r.PathValue("id"))
		}), false},
		{"POST", "/tokens/introspect", "inspectToken", "Say what a token is good for", append(tokens, ScopeRead), nil, exchange(func(r request, in tokenInput) (TokenInfo, error) {
			return api.InspectToken(r.Context(), in.Token)
		}), false},
		{"POST", "/tokens/revoke", "revokeToken", "Revoke a token", tokens, nil, exchange(func(r request, in tokenInput) (Revoked, error) {
			return api.RevokeToken(r.Context(), in.Token)
		}), false},
	}
}

func trailRoutes(api API) []route {
	read := []string{ScopeAll, ScopeAudit, ScopeRead}
	return []route{
		{"GET", "/events", "listEvents", "Read the trail", read, filters(), answer(func(r request) (eventList, error) {
			f, err := r.filter()
			if err != nil {
				return eventList{}, err
			}
			list, err := api.Events(r.Context(), f)
			return eventList{some(list)}, err
		}), false},
		{"GET", "/events/head", "trailHead", "Say how far the trail has come, to hold a reading of it to", read, nil, answer(func(r request) (TrailHead, error) {
			return api.TrailHead(r.Context())
		}), false},
		{"GET", "/events/explain/{ref}", "explain", "Explain a refusal by its reference", read, nil, answer(func(r request) (audit.Event, error) {
			return api.Explain(r.Context(), r.PathValue("ref"))
		}), false},
		{"POST", "/setup-link", "createSetupLink", "Make the one-time link that creates the first administrator", []string{ScopeAll}, nil, madeOf(func(r request) (setupLink, error) {
			url, err := api.SetupLink(r.Context())
			return setupLink{url}, err
		}), false},
	}
}

// some makes an empty list [] in JSON, never null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
