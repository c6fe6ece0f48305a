package identity

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/internal/flight"
)

// phcVector is the reference implementation's test vector for Argon2id version 19
// with m=65536, t=2, p=1, password "password", salt "somesalt".
const phcVector = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func foreignHashes(tb testing.TB, password string) map[string]string {
	tb.Helper()
	b64 := base64.RawStdEncoding.EncodeToString
	salt := []byte("sixteen byte salt")
	bc, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		tb.Fatal(err)
	}
	sc, err := scrypt.Key([]byte(password), salt, 1<<10, 8, 1, 32)
	if err != nil {
		tb.Fatal(err)
	}
	pb, err := pbkdf2.Key(sha256.New, password, salt, 2000, 32)
	if err != nil {
		tb.Fatal(err)
	}
	dotted := func(b []byte) string { return strings.ReplaceAll(b64(b), "+", ".") }
	return map[string]string{
		"bcrypt 2a":              string(bc),
		"bcrypt 2b":              "$2b" + string(bc[3:]),
		"bcrypt 2y":              "$2y" + string(bc[3:]),
		"scrypt":                 "$scrypt$ln=10,r=8,p=1$" + b64(salt) + "$" + b64(sc),
		"pbkdf2":                 "$pbkdf2-sha256$i=2000$" + b64(salt) + "$" + b64(pb),
		"pbkdf2 with its length": "$pbkdf2-sha256$i=2000,l=32$" + b64(salt) + "$" + b64(pb),
		"pbkdf2 of passlib":      "$pbkdf2-sha256$2000$" + dotted(salt) + "$" + dotted(pb),
	}
}

func TestHasherVerifies(t *testing.T) {
	t.Parallel()
	h := NewHasher(HasherConfig{Params: cheap(), Now: time.Now})
	own, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	cases := foreignHashes(t, "correct horse")
	cases["our own"] = own
	for name, phc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for password, want := range map[string]bool{"correct horse": true, "correct horsf": false, "": false, strings.Repeat("x", 2000): false} {
				got, err := h.Verify(t.Context(), phc, password)
				if err != nil || got != want {
					t.Errorf("%.20q: got %v, %v; want %v", password, got, err, want)
				}
			}
			if got, want := h.NeedsRehash(phc), phc != own; got != want {
				t.Errorf("needs rehash: got %v, want %v", got, want)
			}
		})
	}
	if ok, err := h.Verify(t.Context(), phcVector, "password"); err != nil || !ok {
		t.Errorf("reference vector: got %v, %v", ok, err)
	}
	if ok, err := h.Verify(t.Context(), "", ""); err != nil || ok {
		t.Errorf("nobody: got %v, %v; want false", ok, err)
	}
}

func TestHasherSeesOnePasswordInEverySpelling(t *testing.T) {
	t.Parallel()
	h := NewHasher(HasherConfig{Params: cheap(), Now: time.Now})
	phc, err := h.Hash(t.Context(), "caf\u00e9 au lait ①")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.Verify(t.Context(), phc, "cafe\u0301 au lait 1"); err != nil || !ok {
		t.Errorf("got %v, %v; want a match", ok, err)
	}
}

func TestBcryptNeverCutsAPasswordOff(t *testing.T) {
	t.Parallel()
	h := NewHasher(HasherConfig{Params: cheap(), Now: time.Now})
	long := strings.Repeat("x", 72)
	phc, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := h.Verify(t.Context(), string(phc), long); !ok {
		t.Error("72 bytes: want a match")
	}
	if ok, err := h.Verify(t.Context(), string(phc), long+"whatever"); ok || err != nil {
		t.Errorf("80 bytes: got %v, %v; want no match", ok, err)
	}
}

// Whoever signs in, one Argon2id of the current cost is spent at least.
func TestHasherSpendsTheSameOnEverybody(t *testing.T) {
	t.Parallel()
	params := Params{Memory: 128, Time: 2, Threads: 1}
	weak, err := NewHasher(HasherConfig{Params: cheap(), Now: time.Now}).Hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	h := NewHasher(HasherConfig{Params: params, Now: time.Now})
	strong, err := h.Hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	cases := foreignHashes(t, "x")
	cases["nobody"], cases["current"], cases["weaker"] = "", strong, weak
	var current atomic.Int64
	h.derive = func(a argonHash, password []byte) []byte {
		if a.Params == params {
			current.Add(1)
		}
		return a.derive(password)
	}
	for name, phc := range cases {
		for _, password := range []string{"x", "y", strings.Repeat("y", 5000)} {
			before := current.Load()
			if _, err := h.Verify(t.Context(), phc, password); err != nil {
				t.Fatal(err)
			}
			if got := current.Load() - before; got != 1 {
				t.Errorf("%s, %.5q: got %d hashes of the current cost, want 1", name, password, got)
			}
		}
	}
}

func TestHasherBoundsItsQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(HasherConfig{Params: cheap(), Slots: 2, Now: time.Now})
		block := make(chan struct{})
		h.derive = func(a argonHash, _ []byte) []byte { <-block; return a.tag }
		var done, refused atomic.Int64
		var wg sync.WaitGroup
		hash := func() {
			wg.Go(func() {
				switch _, err := h.Hash(context.Background(), "x"); {
				case err == nil:
					done.Add(1)
				case fault.Is(err, fault.Unavailable) && fault.Of(err).RetryAfter == 2*time.Second:
					refused.Add(1)
				default:
					t.Errorf("got %v, want Unavailable with RetryAfter", err)
				}
			})
		}
		const room = 2 * queuePerRun
		for range 2 + room {
			hash()
		}
		synctest.Wait()
		if got := h.waiting.Load(); got != room {
			t.Errorf("got %d waiting, want %d", got, room)
		}
		hash() // there is no room behind them
		synctest.Wait()
		if got := refused.Load(); got != 1 {
			t.Errorf("got %d refused at once, want 1", got)
		}
		time.Sleep(maxWait) // the bubble's clock: nobody waits longer
		synctest.Wait()
		if got := refused.Load(); got != room+1 {
			t.Errorf("got %d refused after two seconds, want %d", got, room+1)
		}
		close(block)
		wg.Wait()
		if done.Load() != 2 || h.waiting.Load() != 0 || len(h.slots) != 0 {
			t.Errorf("got %d done, %d waiting, %d slots held; want 2, 0, 0", done.Load(), h.waiting.Load(), len(h.slots))
		}
	})
}

// TestManySignInsHoldWhatTheHasherPromises: whoever they are, as many hashings run
// at once as may, and their memory is collected before as much again is asked for.
func TestManySignInsHoldWhatTheHasherPromises(t *testing.T) { //nolint:paralleltest // it measures the heap
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as serve has it
	for _, slots := range []int{1, 3} {
		h := NewHasher(HasherConfig{Slots: slots, Now: time.Now})
		own, err := h.Hash(t.Context(), "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		var running, most, hashed, peak atomic.Int64
		raise := func(to *atomic.Int64, n int64) {
			for old := to.Load(); n > old && !to.CompareAndSwap(old, n); old = to.Load() {
			}
		}
		heap := func() int64 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		h.derive = func(a argonHash, password []byte) []byte {
			defer running.Add(-1)
			raise(&most, running.Add(1))
			hashed.Add(1)
			tag := a.derive(password)
			raise(&peak, heap())
			return tag
		}
		runtime.GC()
		before := heap()
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				var err error
				switch i % 4 {
				case 0:
					_, err = h.Hash(t.Context(), "somebody new")
				case 1:
					_, err = h.Verify(t.Context(), "", "of nobody")
				default:
					_, err = h.Verify(t.Context(), own, "correct horse")
				}
				if err != nil && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		promise := int64(2*slots) * int64(h.cfg.Params.Memory) << 10
		if most.Load() > int64(slots) || hashed.Load() < int64(slots) {
			t.Errorf("%d slots: %d hashings at once, %d in all", slots, most.Load(), hashed.Load())
		}
		if used := peak.Load() - before; used > promise+4<<20 {
			t.Errorf("%d slots: %d hashings held %d MiB, promised %d", slots, hashed.Load(), used>>20, promise>>20)
		}
	}
}

// A visitor is a request with a place on the road.
type visitor struct{ aside, back *atomic.Int64 }

func (visitor) Who() string { return "" }

func (v visitor) Aside() func() {
	v.aside.Add(1)
	return func() { v.back.Add(1) }
}

// TestWhoIsHashedForHoldsNoPlace: sign-ins that wait for one another keep no page
// from anybody.
func TestWhoIsHashedForHoldsNoPlace(t *testing.T) {
	t.Parallel()
	h := NewHasher(HasherConfig{Params: cheap(), Now: time.Now})
	v := visitor{new(atomic.Int64), new(atomic.Int64)}
	h.derive = func(a argonHash, _ []byte) []byte {
		if v.aside.Load() != v.back.Load()+1 {
			t.Error("it holds its place while it is hashed for")
		}
		return a.tag
	}
	ctx := context.WithValue(t.Context(), flight.CallerKey{}, v)
	if _, err := h.Hash(ctx, "x"); err != nil || v.back.Load() != 1 {
		t.Errorf("%v; back %d times", err, v.back.Load())
	}
}

func TestOneProcessorIsLeftToTheOthers(t *testing.T) {
	t.Parallel()
	h := NewHasher(HasherConfig{Params: cheap(), Now: time.Now})
	if got, want := cap(h.slots), max(1, runtime.GOMAXPROCS(0)-1); got != want {
		t.Errorf("%d hashings at once, want %d", got, want)
	}
}

func TestHasherHonoursItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(HasherConfig{Params: cheap(), Slots: 1, Now: time.Now})
		h.slots <- struct{}{}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := h.Verify(ctx, "", "x"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want Unavailable", err)
		}
	})
}

func TestParsePHCRefuses(t *testing.T) {
	t.Parallel()
	salt, tag := "c2FsdHNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for name, phc := range map[string]string{
		"empty":                  "",
		"plain text":             "hunter2",
		"argon2i":                "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + tag,
		"old version":            "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + tag,
		"a gibibyte":             "$argon2id$v=19$m=1048576,t=2,p=1$" + salt + "$" + tag,
		"a thousand passes":      "$argon2id$v=19$m=65536,t=1000,p=1$" + salt + "$" + tag,
		"many lanes":             "$argon2id$v=19$m=65536,t=2,p=255$" + salt + "$" + tag,
		"no lanes":               "$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + tag,
		"too little memory":      "$argon2id$v=19$m=16,t=2,p=4$" + salt + "$" + tag,
		"leading zero":           "$argon2id$v=19$m=065536,t=2,p=1$" + salt + "$" + tag,
		"sign":                   "$argon2id$v=19$m=+65536,t=2,p=1$" + salt + "$" + tag,
		"order":                  "$argon2id$v=19$t=2,m=65536,p=1$" + salt + "$" + tag,
		"twice":                  "$argon2id$v=19$m=65536,t=2,p=1,p=1$" + salt + "$" + tag,
		"short salt":             "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$" + tag,
		"short tag":              "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$c2FsdHNhbHQ",
		"padding":                "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "=$" + tag,
		"stray bits":             "$argon2id$v=19$m=65536,t=2,p=1$c2FsdHNhbHR$" + tag,
		"missing tag":            "$argon2id$v=19$m=65536,t=2,p=1$" + salt,
		"huge":                   "$argon2id$" + strings.Repeat("v", 1000),
		"bcrypt of cost 31":      "$2a$31$" + strings.Repeat("a", 53),
		"bcrypt cut off":         "$2a$10$" + strings.Repeat("a", 50),
		"bcrypt 2x":              "$2x$10$" + strings.Repeat("a", 53),
		"scrypt of 2 GiB":        "$scrypt$ln=21,r=8,p=1$" + salt + "$" + tag,
		"scrypt with wide block": "$scrypt$ln=16,r=64,p=1$" + salt + "$" + tag,
		"pbkdf2 of one round":    "$pbkdf2-sha256$i=1$" + salt + "$" + tag,
		"pbkdf2 of a billion":    "$pbkdf2-sha256$i=1000000000$" + salt + "$" + tag,
		"pbkdf2 with sha1":       "$pbkdf2$i=1000$" + salt + "$" + tag,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if own, other, err := parsePHC(phc); err == nil {
				t.Errorf("%s: got %v %v, want an error", phc, own, other != nil)
			}
		})
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(phcVector)
	for _, phc := range foreignHashes(f, "x") {
		f.Add(phc)
	}
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$AAAA$AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		own, other, err := parsePHC(s)
		switch {
		case err != nil:
			return
		case (own == nil) == (other == nil):
			t.Errorf("%q: got %v and %v, want one of them", s, own, other != nil)
		case own != nil && own.String() != s:
			t.Errorf("%q: written back as %q", s, own)
		case own != nil && (own.Memory > maxMemory || own.Time > maxTime || own.Threads > maxThreads):
			t.Errorf("%q: %+v is beyond the caps", s, own.Params)
		}
	})
}

func BenchmarkHasherVerify(b *testing.B) {
	h := NewHasher(HasherConfig{Now: time.Now})
	phc, err := h.Hash(b.Context(), goodPassword)
	if err != nil {
		b.Fatal(err)
	}
	for name, against := range map[string]string{"known": phc, "unknown": ""} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Verify(b.Context(), against, goodPassword); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHasherHash(b *testing.B) {
	h := NewHasher(HasherConfig{Now: time.Now})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Hash(b.Context(), goodPassword); err != nil {
			b.Fatal(err)
		}
	}
}
