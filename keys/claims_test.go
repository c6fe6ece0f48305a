package keys_test

import (
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	type inner struct {
		Subject string `json:"sub"`
	}
	for _, tt := range []struct {
		name, payload, want string
		at                  int64
		ok                  bool
	}{
		{"as it is", `{"sub":"bob","exp":17}`, "bob", 17, true},
		{"a claim nobody reads", `{"sub":"bob","x":{"sub":"alice"}}`, "bob", 0, true},
		{"another case", `{"sub":"bob","Sub":"alice"}`, "bob", 0, true},
		{"only another case", `{"SUB":"alice"}`, "", 0, true},
		{"a letter that folds", `{"sub":"bob","\u017fub":"alice"}`, "bob", 0, true},
		{"twice", `{"sub":"bob","sub":"alice"}`, "", 0, false},
		{"twice, once escaped", `{"sub":"bob","\u0073ub":"alice"}`, "", 0, false},
		{"null", `{"sub":null}`, "", 0, true},
		{"a fraction", `{"exp":1700000000.75}`, "", 1700000000, true},
		{"an exponent", `{"exp":1.7e9}`, "", 1700000000, true},
		{"a text", `{"exp":"1700000000"}`, "", 0, false},
		{"before the epoch", `{"exp":-1}`, "", 0, false},
		{"beyond every clock", `{"exp":1e300}`, "", 0, false},
		{"no object", `["sub"]`, "", 0, false},
		{"more behind it", `{"sub":"bob"}{}`, "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got struct {
				inner
				Expires keys.NumericDate `json:"exp"`
			}
			err := keys.Claims([]byte(tt.payload), &got)
			if (err == nil) != tt.ok || tt.ok && (got.Subject != tt.want || int64(got.Expires) != tt.at) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
