package oidc

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// FuzzRegistration: whatever comes, nothing breaks, and what is understood is told
// back so that it means the same when it is sent again.
func FuzzRegistration(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"redirect_uris":["https://a.example/"],"scope":"openid email","jwks":{"keys":[ ]},"default_max_age":5}`,
		`{"client_name":"a","client_name":"b"}`, `{"jwks":null,"application_type":"native","grant_types":["implicit"]}`, `{"a":{"a":{"a":1}}}`,
		`{"token_endpoint_auth_method":"none","require_auth_time":true,"contacts":["\ud800"]}`, "{\"scope\":\"a\u00a0b\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseMetadata(body)
		if err != nil {
			return
		}
		var c, again oauth2.Client
		if err := describe(&c, got); err != nil {
			return
		}
		told, err := json.Marshal(known(&c))
		if err != nil {
			t.Fatalf("%v of %s", err, body)
		}
		if got, err = parseMetadata(told); err != nil {
			t.Fatalf("%v of %s", err, told)
		}
		if err := describe(&again, got); err != nil {
			t.Fatalf("%v of %s", err, told)
		}
		second, err := json.Marshal(known(&again))
		if d := cmp.Diff(string(told), string(second)); err != nil || d != "" {
			t.Errorf("%v (-first +again):\n%s", err, d)
		}
	})
}
