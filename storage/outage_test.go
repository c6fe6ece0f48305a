package storage_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/conformance"
	"github.com/gatekeeper-oidc/gatekeeper/identity"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
	"github.com/gatekeeper-oidc/gatekeeper/storage"
)

// topics collects what a DB hears.
type topics struct {
	mu  sync.Mutex
	all []string
}

func (h *topics) add(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, topic)
}

func (h *topics) count(topic string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, t := range h.all {
		if t == topic {
			n++
		}
	}
	return n
}

// await waits until topic was heard more than n times.
func (h *topics) await(t *testing.T, topic string, n int) {
	t.Helper()
	for begun := time.Now(); h.count(topic) <= n; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%q was not heard; heard %q", topic, h.all)
		}
	}
}

func listen(t *testing.T, db *storage.DB) *topics {
	t.Helper()
	h := &topics{}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := db.Listen(ctx, h.add); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen returned %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return h
}

func TestAnotherNodeHearsWhatChanged(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	one, two := open(t, url), open(t, url)
	h := listen(t, two)
	h.await(t, "*", 0) // connected
	const awkward = "a,b%2Cc"
	if err := one.InsertClient(t.Context(), oauth2.Client{ID: awkward}); err != nil {
		t.Fatal(err)
	}
	h.await(t, "client:"+awkward, 0)
	var ids []string
	err := one.InTx(t.Context(), func(ctx context.Context) error {
		for range 300 {
			id := strings.Repeat("x", 60) + time.Now().Format(time.RFC3339Nano)
			ids = append(ids, id)
			if err := one.InsertClient(ctx, oauth2.Client{ID: id}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		h.await(t, "client:"+id, 0)
	}
	if err := one.DeleteClient(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil { // as a command line does at once
		t.Fatal(err)
	}
	h.await(t, "client:"+ids[0], 1)
}

func TestAnotherProcessOnTheSameFileIsNoticed(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	one, two := open(t, url), open(t, url)
	h := listen(t, two)
	for h.count("client:own") == 0 { // listening
		if err := two.InsertClient(t.Context(), oauth2.Client{ID: "own"}); err != nil && !fault.Is(err, fault.Conflict) {
			t.Fatal(err)
		}
		if err := two.DeleteClient(t.Context(), "own"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(700 * time.Millisecond) // longer than it takes to notice
	if n := h.count("*"); n != 0 {
		t.Errorf("its own changes were taken for another's %d times", n)
	}
	if err := one.InsertClient(t.Context(), oauth2.Client{ID: "shop"}); err != nil {
		t.Fatal(err)
	}
	h.await(t, "*", 0)
}

// wire stands between the program and Postgres and can be cut.
type wire struct {
	to       string
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	mute     bool
	all      sync.WaitGroup
}

// through returns rawURL by way of a new wire.
func through(t *testing.T, rawURL string) (string, *wire) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: u.Host, listener: l}
	w.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.join(c)
		}
	})
	t.Cleanup(func() { _ = l.Close(); w.cut(); w.all.Wait() })
	u.Host = l.Addr().String()
	return u.String(), w
}

func (w *wire) join(c net.Conn) {
	up, err := net.Dial("tcp", w.to)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.mute {
		_ = c.Close()
		return
	}
	w.conns = append(w.conns, c, up)
	w.all.Go(func() { _, _ = io.Copy(up, c); _ = up.Close() })
	w.all.Go(func() { _, _ = io.Copy(c, up); _ = c.Close() })
}

// cut breaks every connection; while mute is set there are no new ones.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) setMute(mute bool) {
	w.mu.Lock()
	w.mute = mute
	w.mu.Unlock()
	if mute {
		w.cut()
	}
}

func TestAListenerThatLostItsConnectionLooksAtEverythingAgain(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	cut, w := through(t, url)
	h := listen(t, open(t, cut))
	h.await(t, "*", 0)
	n := h.count("*")
	w.cut()
	h.await(t, "*", n)
	if err := open(t, url).InsertClient(t.Context(), oauth2.Client{ID: "shop"}); err != nil {
		t.Fatal(err)
	}
	h.await(t, "client:shop", 0)
}

func TestAnOutageConsumesNothingAndPasses(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	cut, w := through(t, url)
	db, other := open(t, cut), open(t, url)
	h := listen(t, other)
	h.await(t, "*", 0)
	now, err := db.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := oauth2.Grant{ID: "g1", ClientID: "shop", Subject: "alice", ExpiresAt: now.Add(time.Hour)}
	w.setMute(true)
	if _, err := db.RedeemGrant(t.Context(), g, true, audit.Event{Kind: audit.GrantIssued}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("redeeming without a database: %v, want Unavailable", err)
	}
	if _, err := db.Standing(t.Context(), oauth2.StandingQuery{Grant: "g1"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("asking without a database: %v, want Unavailable", err)
	}
	if err := db.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ping: %v, want Unavailable", err)
	}
	w.setMute(false)
	for begun := time.Now(); db.Ping(t.Context()) != nil; {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the database was not found again")
		}
	}
	if done, err := db.RedeemGrant(t.Context(), g, true, audit.Event{Kind: audit.GrantIssued}); !done || err != nil {
		t.Errorf("redeeming afterwards = %t, %v", done, err)
	}
	if _, err := db.RevokeGrant(t.Context(), "g1", audit.Event{Kind: audit.GrantRevoked}); err != nil {
		t.Fatal(err)
	}
	h.await(t, "grant:g1", 0)
}

func TestAChangeDuringAnOutageOfTheBellIsHeardLater(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	h := listen(t, open(t, url))
	h.await(t, "*", 0)
	// A function of the same name, found first, stands for a bell that is broken.
	exec(t, raw(t, url), `CREATE SCHEMA hidden; CREATE FUNCTION hidden.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'mute'; END $$`)
	u, err := searching(url, "hidden,pg_catalog,public")
	if err != nil {
		t.Fatal(err)
	}
	mute := open(t, u)
	if err := mute.InsertClient(t.Context(), oauth2.Client{ID: "shop"}); err != nil {
		t.Fatalf("a change fails because nobody can be told: %v", err)
	}
	exec(t, raw(t, url), `DROP SCHEMA hidden CASCADE`)
	h.await(t, "client:shop", 0)
}

// searching is rawURL with a search path.
func searching(rawURL, path string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("search_path", path)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func TestALockThatIsNotFreedIsUnavailable(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	db := open(t, url)
	if err := db.InsertUser(t.Context(), identity.User{ID: "u", Email: "u"}); err != nil {
		t.Fatal(err)
	}
	tx, err := raw(t, url).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), `UPDATE users SET email = 'v'`); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := db.DeleteUser(t.Context(), "u"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error = %v, want Unavailable", err)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAStatementThatTakesTooLongIsUnavailable(t *testing.T) {
	t.Parallel()
	url := conformance.Postgres(t, os.Getenv)
	db := open(t, url)
	exec(t, raw(t, url), `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION slow()`)
	begun := time.Now()
	if err := db.InsertUser(t.Context(), identity.User{ID: "u", Email: "u"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error = %v, want Unavailable", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAClosedDatabaseIsUnavailableAtOnce(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   sqliteURL,
		"postgres": func(t *testing.T) string { t.Helper(); return conformance.Postgres(t, os.Getenv) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := storage.Open(t.Context(), storage.Config{URL: url(t), Migrate: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if err := db.InsertUser(t.Context(), identity.User{ID: "u", Email: "u"}); !fault.Is(err, fault.Unavailable) {
				t.Errorf("writing: %v, want Unavailable", err)
			}
			if err := db.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
				t.Errorf("reading: %v, want Unavailable", err)
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
