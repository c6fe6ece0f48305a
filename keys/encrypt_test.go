package keys

import (
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// joseAlgs and joseEncs are what the other side of the tests allows itself.
func joseAlgs() (algs []jose.KeyAlgorithm) {
	for _, a := range EncryptionAlgs() {
		algs = append(algs, jose.KeyAlgorithm(a))
	}
	return algs
}

func joseEncs() (encs []jose.ContentEncryption) {
	for _, e := range ContentAlgs() {
		encs = append(encs, jose.ContentEncryption(e))
	}
	return encs
}

func TestClientsDecryptWhatWeEncrypt(t *testing.T) {
	t.Parallel()
	rsaKey, ec256, ec521 := newRSA(t, 2048), newEC(t, elliptic.P256()), newEC(t, elliptic.P521())
	for _, alg := range EncryptionAlgs() {
		private := []crypto.Signer{rsaKey}
		if strings.HasPrefix(alg, ECDHES) {
			private = []crypto.Signer{ec256, newEC(t, elliptic.P384()), ec521}
		}
		for _, k := range private {
			for _, enc := range append(ContentAlgs(), "") {
				set := setOf(t, jose.JSONWebKey{Key: k.Public(), KeyID: "k", Algorithm: alg, Use: "enc"})
				token, err := EncryptWith(set, Encryption{alg, enc}, "JWT", []byte("nested"))
				if err != nil {
					t.Fatalf("%s %s: %v", alg, enc, err)
				}
				jwe, err := jose.ParseEncryptedCompact(token, joseAlgs(), joseEncs())
				if err != nil {
					t.Fatalf("%s %s: %v", alg, enc, err)
				}
				got, err := jwe.Decrypt(k)
				if err != nil || string(got) != "nested" {
					t.Errorf("%s %s: %q, %v", alg, enc, got, err)
				}
				h, err := readHeader(strings.Split(token, ".")[0], refusedByJWE()...)
				want := Header{Alg: alg, Enc: enc, KeyID: "k", ContentType: "JWT"}
				if enc == "" {
					want.Enc = "A128CBC-HS256"
				}
				if err != nil || h != want || !IsEncrypted(token) {
					t.Errorf("%s %s: header %+v, %v", alg, enc, h, err)
				}
			}
		}
	}
}

func TestEncryptionPicksTheKeyThatIsForIt(t *testing.T) {
	t.Parallel()
	public := newRSA(t, 2048).Public()
	key := func(kid, alg, use string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: public, KeyID: kid, Algorithm: alg, Use: use}
	}
	ec := jose.JSONWebKey{Key: newEC(t, elliptic.P256()).Public(), KeyID: "ec", Use: "enc"}
	for name, c := range map[string]struct {
		set  []jose.JSONWebKey
		want string // kid; "" is none
	}{
		"alg and use":             {[]jose.JSONWebKey{key("any", "", ""), key("use", "", "enc"), key("both", "RSA-OAEP", "enc")}, "both"},
		"use before nothing":      {[]jose.JSONWebKey{key("any", "", ""), key("use", "", "enc")}, "use"},
		"alg before nothing":      {[]jose.JSONWebKey{key("any", "", ""), key("alg", "RSA-OAEP", "")}, "alg"},
		"nothing said":            {[]jose.JSONWebKey{key("any", "", "")}, "any"},
		"another kind before":     {[]jose.JSONWebKey{ec, key("use", "", "enc")}, "use"},
		"only for signatures":     {[]jose.JSONWebKey{key("sig", "", "sig")}, ""},
		"a signature's algorithm": {[]jose.JSONWebKey{key("rs", "RS256", "")}, ""},
		"another algorithm":       {[]jose.JSONWebKey{key("256", "RSA-OAEP-256", "enc")}, ""},
		"another kind":            {[]jose.JSONWebKey{ec}, ""},
	} {
		set := setOf(t, c.set...)
		token, err := EncryptWith(set, Encryption{Alg: "RSA-OAEP"}, "", []byte("x"))
		h, _ := readHeader(strings.Split(token, ".")[0])
		if c.want == "" && !errors.Is(err, ErrKeySet) || c.want != "" && (err != nil || h.KeyID != c.want) {
			t.Errorf("%s: %q, %v, want %q", name, h.KeyID, err, c.want)
		}
		if err := CheckEncryption(set, Encryption{Alg: "RSA-OAEP"}); (err == nil) != (c.want != "") {
			t.Errorf("%s: checked: %v", name, err)
		}
	}
}

func TestKeyOpsSayWhatAKeyIsFor(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(jose.JSONWebKey{Key: newRSA(t, 2048).Public()})
	if err != nil {
		t.Fatal(err)
	}
	for ops, want := range map[string][2]bool{ // signs, encrypts
		`["verify"]`:                   {true, false},
		`["encrypt"]`:                  {false, true},
		`["wrapKey","x"]`:              {false, true},
		`["verify","encrypt"]`:         {true, true},
		`["sign"]`:                     {false, false},
		`"verify"`:                     {false, false},
		`["verify"],"use":"enc"`:       {false, false},
		`["verify"],"alg":"RSA-OAEP"`:  {false, false},
		`["encrypt"],"alg":"RSA-OAEP"`: {false, true},
	} {
		set := json.RawMessage(`{"keys":[{"key_ops":` + ops + `,` + string(raw[1:]) + `]}`)
		got := [2]bool{CheckJWKS(set) == nil, CheckEncryption(set, Encryption{Alg: "RSA-OAEP"}) == nil}
		if got != want {
			t.Errorf("%s: signs, encrypts %v, want %v", ops, got, want)
		}
	}
}

func TestEncryptionIsFromTheList(t *testing.T) {
	t.Parallel()
	set := setOf(t, jose.JSONWebKey{Key: newRSA(t, 2048).Public()})
	for _, e := range []Encryption{
		{Alg: ""},
		{Alg: "RSA1_5"},
		{Alg: "dir"},
		{Alg: "A256KW"},
		{Alg: "PBES2-HS256+A128KW"},
		{Alg: "ECDH-ES+A192KW"},
		{Alg: "none"},
		{Alg: "RSA-OAEP", Enc: "A192GCM"},
		{Alg: "RSA-OAEP", Enc: "none"},
		{Alg: "RS256"},
	} {
		if err := e.Check(); err == nil {
			t.Errorf("%+v: passed", e)
		}
		if _, err := EncryptWith(set, e, "", nil); err == nil {
			t.Errorf("%+v: encrypted", e)
		}
		if err := CheckEncryption(set, e); err == nil {
			t.Errorf("%+v: checked", e)
		}
	}
	if _, err := EncryptWith(json.RawMessage(`{}`), Encryption{Alg: RSAOAEP}, "", nil); !errors.Is(err, ErrKeySet) {
		t.Errorf("no set: %v", err)
	}
	for _, list := range [][]string{EncryptionAlgs(), ContentAlgs(), VerifyAlgs()} {
		if sorted := slices.Sorted(slices.Values(list)); len(slices.Compact(sorted)) != len(list) {
			t.Errorf("%v names one twice", list)
		}
	}
	for _, alg := range VerifyAlgs() {
		if _, ok := algorithmOf(alg); !ok || encrypts(alg) {
			t.Errorf("%s is listed but not verified", alg)
		}
	}
}
