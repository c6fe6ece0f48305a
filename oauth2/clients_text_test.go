package oauth2_test

import (
	"reflect"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// TestNoMemberHasControlCharacters: in whatever member of a registration they stand,
// also one that was added yesterday, they are refused.
func TestNoMemberHasControlCharacters(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, f *fixture) {
		typ := reflect.TypeFor[oauth2.Client]()
		for i := range typ.NumField() {
			if typ.Field(i).Tag.Get("json") == "-" { // the store's own
				continue
			}
			for _, bad := range []string{"a\x1b[31m", "a\u009b31m", "a\u202eb", "a\u2066b", "a\nb", "a\x7fb", "a\x00b", "a\u2028b", "a\xffb"} {
				c := oauth2.Client{ID: "shop", Type: oauth2.Web, RedirectURIs: []string{callback}}
				switch v := reflect.ValueOf(&c).Elem().Field(i); {
				case v.Kind() == reflect.String:
					v.SetString(bad)
				case v.Type() == reflect.TypeFor[[]string]():
					v.Set(reflect.ValueOf([]string{bad}))
				default:
					continue
				}
				if err := f.p.CheckClient(&c); err == nil {
					t.Errorf("%s takes %+q", typ.Field(i).Name, bad)
				}
			}
		}
	})
}
