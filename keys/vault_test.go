package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func mustVault(tb testing.TB, roots ...[]byte) *Vault {
	tb.Helper()
	v, err := NewVault(roots...)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func rootOf(b byte) []byte { return bytes.Repeat([]byte{b}, minRoot) }

func TestNewVaultRefusesWeakRoots(t *testing.T) {
	t.Parallel()
	for name, roots := range map[string][][]byte{
		"none":      nil,
		"short":     {rootOf(1)[:31]},
		"short 2nd": {rootOf(1), {}},
		"twice":     {rootOf(1), rootOf(1)},
	} {
		if _, err := NewVault(roots...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSealOpens(t *testing.T) {
	t.Parallel()
	v := mustVault(t, rootOf(1))
	plain := []byte("a secret")
	sealed := v.Seal("jwk", "signing_keys|private|k1", plain)
	if got, want := len(sealed)-len(plain), rootIDLen+nonceLen+tagLen; got != want {
		t.Errorf("overhead: got %d, want %d", got, want)
	}
	if bytes.Equal(sealed, v.Seal("jwk", "signing_keys|private|k1", plain)) {
		t.Error("two seals of one value are equal")
	}
	got, err := v.Open("jwk", "signing_keys|private|k1", sealed)
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	v := mustVault(t, rootOf(1))
	sealed := v.Seal("jwk", "here", []byte("a secret"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := v.Open("jwk", "here", changed); !errors.Is(err, ErrSeal) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := v.Open("jwk", "here", sealed[:n]); !errors.Is(err, ErrSeal) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return v.Open("code", "here", sealed) },
		"another place":   func() ([]byte, error) { return v.Open("jwk", "there", sealed) },
		"another root":    func() ([]byte, error) { return mustVault(t, rootOf(2)).Open("jwk", "here", sealed) },
	} {
		if _, err := open(); !errors.Is(err, ErrSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRootsRotate(t *testing.T) {
	t.Parallel()
	old, both := mustVault(t, rootOf(1)), mustVault(t, rootOf(2), rootOf(1))
	sealed, tag := old.Seal("p", "a", []byte("x")), old.MAC("p", []byte("x"))
	if got, err := both.Open("p", "a", sealed); err != nil || string(got) != "x" {
		t.Errorf("open under the old root: %q, %v", got, err)
	}
	if !both.CheckMAC("p", tag, []byte("x")) {
		t.Error("a MAC of the old root is refused")
	}
	if !both.Stale(sealed) || both.Stale(both.Seal("p", "a", nil)) {
		t.Error("Stale does not tell old seals from new")
	}
	if old.CheckMAC("p", both.MAC("p", []byte("x")), []byte("x")) {
		t.Error("a vault accepts the MAC of a root it has not")
	}
	if both.Fingerprint() == old.Fingerprint() || !both.Knows(old.Fingerprint()) || old.Knows(both.Fingerprint()) {
		t.Error("fingerprints do not tell which roots a vault has")
	}
}

func TestMACKeepsPartsApart(t *testing.T) {
	t.Parallel()
	v := mustVault(t, rootOf(1))
	tag := v.MAC("p", []byte("ab"), []byte("c"))
	for name, ok := range map[string]bool{
		"same":             v.CheckMAC("p", tag, []byte("ab"), []byte("c")),
		"truncated to 16":  v.CheckMAC("p", tag[:16], []byte("ab"), []byte("c")),
		"!boundary moved":  v.CheckMAC("p", tag, []byte("a"), []byte("bc")),
		"!joined":          v.CheckMAC("p", tag, []byte("abc")),
		"!empty part more": v.CheckMAC("p", tag, []byte("ab"), []byte("c"), nil),
		"!other purpose":   v.CheckMAC("q", tag, []byte("ab"), []byte("c")),
		"!truncated to 15": v.CheckMAC("p", tag[:15], []byte("ab"), []byte("c")),
		"!longer":          v.CheckMAC("p", append(bytes.Clone(tag), 0), []byte("ab"), []byte("c")),
		"!empty tag":       v.CheckMAC("p", nil, []byte("ab"), []byte("c")),
	} {
		if want := !strings.HasPrefix(name, "!"); ok != want {
			t.Errorf("%s: got %v", name, ok)
		}
	}
}

func TestSubkeysDoNoDoubleDuty(t *testing.T) {
	t.Parallel()
	v := mustVault(t, rootOf(1))
	if again := mustVault(t, rootOf(1)); v.Subkey("a") != again.Subkey("a") {
		t.Error("a sub-key changes")
	}
	seen := map[string]string{}
	r := v.roots[0]
	for _, use := range []string{"seal", "mac", "key", "root"} {
		for _, purpose := range []string{"a", "b", "id", ""} {
			k := string(r.derive(use, purpose))
			if other, dup := seen[k]; dup {
				t.Errorf("%s/%s and %s share a key", use, purpose, other)
			}
			seen[k] = use + "/" + purpose
		}
	}
}

// The vectors are those of c2sp.org/XAES-256-GCM.
func TestSealerIsXAES256GCM(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key       byte
		aad, want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		got := newSealer([subkeyLen]byte(rootOf(c.key))).aead(nonce).
			Seal(nil, nonce[derivedLen:], []byte("XAES-256-GCM"), []byte(c.aad))
		if hex.EncodeToString(got) != c.want {
			t.Errorf("key %d: got %x, want %s", c.key, got, c.want)
		}
	}
}

func TestMACAllocatesOnlyItsResult(t *testing.T) {
	v := mustVault(t, rootOf(1))
	a, b := []byte("one part"), []byte("another")
	tag := v.MAC("p", a, b)
	if n := testing.AllocsPerRun(100, func() { v.MAC("p", a, b) }); n > 3 {
		t.Errorf("MAC: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { v.CheckMAC("p", tag, a, b) }); n > 3 {
		t.Errorf("CheckMAC: %v allocations", n)
	}
}

func FuzzVaultOpen(f *testing.F) {
	v := mustVault(f, rootOf(1), rootOf(2))
	f.Add(v.Seal("p", "a", []byte("x")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if plain, err := v.Open("p", "b", sealed); err == nil {
			t.Fatalf("opened to %x", plain)
		}
		if v.CheckMAC("p", sealed, []byte("a")) {
			t.Fatal("a MAC was guessed")
		}
	})
}
