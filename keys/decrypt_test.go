package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// openable returns a new node's ring that others can encrypt to.
func (w *world) openable(tb testing.TB, algs ...string) *Ring {
	tb.Helper()
	return w.ringWith(tb, func(cfg *RingConfig) { cfg.Policy = Policy{Algs: []string{ES256}, Encrypt: algs} })
}

// lockOf returns the published key for alg, as a client finds it.
func lockOf(tb testing.TB, r *Ring, alg string) jose.JSONWebKey {
	tb.Helper()
	body, _, _ := r.JWKS()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		tb.Fatal(err)
	}
	i := slices.IndexFunc(set.Keys, func(k jose.JSONWebKey) bool { return k.Algorithm == alg && k.Use == "enc" })
	if i < 0 {
		tb.Fatalf("no %s key in %s", alg, body)
	}
	return set.Keys[i]
}

// A letter is what a client sends us.
type letter struct {
	alg, enc string
	kid      string
	key      any
	more     map[jose.HeaderKey]any
	zip      bool
	payload  string
}

func (l letter) seal(tb testing.TB) string {
	tb.Helper()
	opts := &jose.EncrypterOptions{ExtraHeaders: l.more}
	if l.zip {
		opts.Compression = jose.DEFLATE
	}
	c, err := jose.NewEncrypter(jose.ContentEncryption(l.enc), jose.Recipient{Algorithm: jose.KeyAlgorithm(l.alg), Key: l.key, KeyID: l.kid}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	jwe, err := c.Encrypt([]byte(l.payload))
	if err != nil {
		tb.Fatal(err)
	}
	token, err := jwe.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

var ringAlgs = []string{RSAOAEP256, RSAOAEP, ECDHES}

func TestWeDecryptWhatClientsEncrypt(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().openable(t, ringAlgs...))
	for _, alg := range ringAlgs {
		k := lockOf(t, r, alg)
		for _, enc := range ContentAlgs() {
			for _, kid := range []string{k.KeyID, ""} {
				token := letter{alg: alg, enc: enc, kid: kid, key: k.Key, payload: "nested", more: map[jose.HeaderKey]any{"cty": "JWT", "x": 1}}.seal(t)
				got, h, err := r.Decrypt(t.Context(), token)
				if want := (Header{Alg: alg, Enc: enc, KeyID: kid, ContentType: "JWT"}); err != nil || string(got) != "nested" || h != want {
					t.Errorf("%s %s: %q, %+v, %v", alg, enc, got, h, err)
				}
			}
		}
	}
	if got := r.EncryptionAlgs(); !slices.Equal(got, []string{ECDHES, RSAOAEP, RSAOAEP256}) || !slices.Equal(r.Algs(), []string{ES256}) {
		t.Errorf("encryption %v, signatures %v", got, r.Algs())
	}
	if none := loaded(t, newWorld().ring(t, ES256)); len(none.EncryptionAlgs()) != 0 {
		t.Error("encryption is not asked for, but there")
	}
}

func TestDecryptRefuses(t *testing.T) {
	t.Parallel()
	r := loaded(t, newWorld().openable(t, RSAOAEP256, ECDHES))
	rsaKey, ecKey := lockOf(t, r, RSAOAEP256), lockOf(t, r, ECDHES)
	good := letter{alg: RSAOAEP256, enc: "A256GCM", kid: rsaKey.KeyID, key: rsaKey.Key, payload: "x"}
	with := func(change func(*letter)) string {
		l := good
		change(&l)
		return l.seal(t)
	}
	token := good.seal(t)
	parts := strings.Split(token, ".")
	join := func(i int, with string) string {
		p := slices.Clone(parts)
		p[i] = with
		return strings.Join(p, ".")
	}
	head := func(h string) string { return join(0, b64(strings.ReplaceAll(h, "KID", rsaKey.KeyID))) }
	direct := strings.Split(letter{alg: ECDHES, enc: "A256GCM", kid: ecKey.KeyID, key: ecKey.Key, payload: "x"}.seal(t), ".")
	for name, bad := range map[string]string{
		"empty":                    "",
		"a signature":              signed(t, r, ES256),
		"four parts":               strings.Join(parts[:4], "."),
		"six parts":                token + ".",
		"too long":                 token + strings.Repeat("A", maxEncrypted),
		"line break":               token[:len(token)-4] + "\n" + token[len(token)-4:],
		"padded":                   token + "=",
		"compressed":               with(func(l *letter) { l.zip = true }),
		"crit":                     with(func(l *letter) { l.more = map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1} }),
		"password":                 head(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAA","kid":"KID"}`),
		"RSA1_5":                   with(func(l *letter) { l.alg = "RSA1_5" }),
		"RSA1_5 in the header":     head(`{"alg":"RSA1_5","enc":"A256GCM","kid":"KID"}`),
		"another alg of the key":   with(func(l *letter) { l.alg = RSAOAEP }),
		"direct":                   head(`{"alg":"dir","enc":"A256GCM","kid":"KID"}`),
		"none":                     head(`{"alg":"none","enc":"A256GCM","kid":"KID"}`),
		"key wrap of the curve":    letter{alg: "ECDH-ES+A128KW", enc: "A256GCM", kid: ecKey.KeyID, key: ecKey.Key}.seal(t),
		"enc not on the list":      with(func(l *letter) { l.enc = "A192GCM" }),
		"enc missing":              head(`{"alg":"RSA-OAEP-256","kid":"KID"}`),
		"enc twice":                head(`{"alg":"RSA-OAEP-256","enc":"A256GCM","enc":"A256GCM","kid":"KID"}`),
		"another header":           head(`{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"KID","x":1}`),
		"unknown kid":              with(func(l *letter) { l.kid = "other" }),
		"another key's kid":        with(func(l *letter) { l.kid = ecKey.KeyID }),
		"a stranger's key":         with(func(l *letter) { l.key = newRSA(t, 2048).Public() }),
		"a stranger's key, no kid": with(func(l *letter) { l.key, l.kid = newRSA(t, 2048).Public(), "" }),
		"no encrypted key":         join(1, ""),
		"an encrypted key of none": strings.Join(append([]string{direct[0], "AAAA"}, direct[2:]...), "."),
		"another content":          join(3, b64("other")),
		"another tag":              join(4, b64(strings.Repeat("x", 16))),
		"tag cut":                  join(4, b64("x")),
		"tag empty":                join(4, ""),
		"iv empty":                 join(2, ""),
		"no curve point":           strings.Join(append([]string{b64(`{"alg":"ECDH-ES","enc":"A256GCM","kid":"` + ecKey.KeyID + `"}`)}, direct[1:]...), "."),
		"a point off the curve": strings.Join(append([]string{b64(`{"alg":"ECDH-ES","enc":"A256GCM","kid":"` + ecKey.KeyID + `","epk":{"kty":"EC","crv":"P-256","x":"` +
			b64(strings.Repeat("\x01", 32)) + `","y":"` + b64(strings.Repeat("\x02", 32)) + `"}}`)}, direct[1:]...), "."),
	} {
		if got, _, err := r.Decrypt(t.Context(), bad); !errors.Is(err, ErrEncryption) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, _, err := r.Decrypt(t.Context(), token); err != nil {
		t.Error(err)
	}
	if _, err := r.Verify(assertion(t, "RS256", newRSA(t, 2048), rsaKey.KeyID), "JWT"); !errors.Is(err, ErrSignature) {
		t.Errorf("a signature that names an encryption key: %v", err)
	}
	if _, err := r.Sign(t.Context(), RSAOAEP256, "", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("signed with an encryption key: %v", err)
	}
}

func TestEncryptionKeysRotate(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r, other := loaded(t, w.openable(t, ECDHES)), loaded(t, w.openable(t, ECDHES))
	first := lockOf(t, r, ECDHES)
	token := letter{alg: ECDHES, enc: "A128GCM", kid: first.KeyID, key: first.Key, payload: "x"}.seal(t)
	if _, err := r.Rotate(t.Context(), ECDHES, false); err != nil {
		t.Fatal(err)
	}
	if got := lockOf(t, r, ECDHES); got.KeyID != first.KeyID || len(published(t, r)) != 2 {
		t.Errorf("a key is offered before it is active: %v", published(t, r))
	}
	w.advance(day)
	loaded(t, r)
	second := lockOf(t, r, ECDHES)
	if second.KeyID == first.KeyID || len(published(t, r)) != 2 {
		t.Errorf("after the rotation: %v", published(t, r))
	}
	for name, node := range map[string]*Ring{"the node that rotated": r, "one that did not hear of it": other} {
		for kid, k := range map[string]jose.JSONWebKey{first.KeyID: first, second.KeyID: second} {
			l := letter{alg: ECDHES, enc: "A128GCM", kid: kid, key: k.Key, payload: "x"}.seal(t)
			if _, _, err := node.Decrypt(t.Context(), l); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	restarted := loaded(t, w.openable(t, ECDHES))
	if _, _, err := restarted.Decrypt(t.Context(), token); err != nil {
		t.Errorf("after a restart, with a key that retires: %v", err)
	}
	if _, err := loaded(t, w.openable(t)).Rotate(t.Context(), ECDHES, false); !fault.Is(err, fault.NotFound) {
		t.Errorf("rotated what is switched off: %v", err)
	}
	w.advance(2 * day)
	if _, _, err := r.Decrypt(t.Context(), token); !errors.Is(err, ErrEncryption) {
		t.Errorf("a key that is gone: %v", err)
	}
	if err := r.Revoke(t.Context(), second.KeyID); err != nil {
		t.Fatal(err)
	}
	if got := lockOf(t, r, ECDHES); got.KeyID == second.KeyID {
		t.Error("a revoked key is offered")
	}
}

func TestDecryptCannotTell(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := loaded(t, w.openable(t, ECDHES))
	k := lockOf(t, r, ECDHES)
	l := letter{alg: ECDHES, enc: "A128GCM", kid: "another", key: k.Key, payload: "x"}
	w.store.set(func(s *memStore) { s.down = errDown })
	if _, _, err := r.Decrypt(t.Context(), l.seal(t)); errors.Is(err, ErrEncryption) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("the store is down: %v", err)
	}
	l.kid = k.KeyID
	for range cap(r.opening) {
		r.opening <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Decrypt(ctx, l.seal(t)); !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("no slot: %v", err)
	}
}

func TestNestedTokensComeThrough(t *testing.T) {
	t.Parallel()
	r, client := loaded(t, newWorld().openable(t, RSAOAEP256)), newRSA(t, 2048)
	inner := assertion(t, "PS256", client, "c")
	k := lockOf(t, r, RSAOAEP256)
	outer := letter{alg: RSAOAEP256, enc: "A256CBC-HS512", kid: k.KeyID, key: k.Key, payload: inner, more: map[jose.HeaderKey]any{"cty": "JWT"}}
	payload, _, err := r.Decrypt(t.Context(), outer.seal(t))
	if err != nil {
		t.Fatal(err)
	}
	set := setOf(t, jose.JSONWebKey{Key: client.Public(), KeyID: "c"})
	if got, h, err := VerifyWith(set, string(payload), []string{"PS256"}); err != nil || string(got) != `{"iss":"shop"}` || !h.IsType("jwt") {
		t.Errorf("%s, %+v, %v", got, h, err)
	}
}

// A fixedSource makes one ECDH-ES key, so that every process that fuzzes can open
// what another one sealed.
type fixedSource struct{ Software }

func (s fixedSource) Generate(ctx context.Context, alg string) (crypto.Signer, []byte, error) {
	if alg != ECDHES {
		return s.Software.Generate(ctx, alg)
	}
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	return k, der, err
}

func FuzzDecrypt(f *testing.F) {
	r := loaded(f, newWorld().ringWith(f, func(cfg *RingConfig) {
		cfg.Source, cfg.Policy = fixedSource{}, Policy{Algs: []string{ES256}, Encrypt: []string{ECDHES}}
	}))
	k := lockOf(f, r, ECDHES)
	for _, l := range []letter{
		{alg: ECDHES, enc: "A128GCM", kid: k.KeyID, key: k.Key, payload: "x"},
		{alg: ECDHES, enc: "A256CBC-HS512", key: k.Key, payload: "x"},
	} {
		f.Add(l.seal(f))
	}
	f.Add(b64(`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"EC"},"apu":"AA","zip":"DEF"}`) + "..AA.AA.AA")
	f.Add("....")
	f.Fuzz(func(t *testing.T, mutant string) {
		payload, h, err := r.Decrypt(t.Context(), mutant)
		if err != nil && !errors.Is(err, ErrEncryption) {
			t.Fatal(err)
		}
		if err == nil && (string(payload) != "x" || h.Alg != ECDHES) {
			t.Fatalf("%q opened as %q, %+v", mutant, payload, h)
		}
	})
}
