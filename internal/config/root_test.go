package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func embedded(dir string) *Config {
	return &Config{DataDir: dir, DatabaseURL: Secret("sqlite:" + filepath.Join(dir, "gatekeeper.db"))}
}

func TestRootSecretIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	first, created, err := RootSecret(embedded(dir))
	if err != nil || !created || len(first) != 1 || len(first[0]) != leastSecret {
		t.Fatalf("got %d secrets, created %v, %v", len(first), created, err)
	}
	info, err := os.Stat(filepath.Join(dir, secretName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v", info, err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
	again, created, err := RootSecret(embedded(dir))
	if err != nil || created || !bytes.Equal(again[0], first[0]) {
		t.Errorf("second start: created %v, %v", created, err)
	}
}

func TestLostRootSecretIsNotInventedAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gatekeeper.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := RootSecret(embedded(dir))
	if err == nil || !strings.Contains(err.Error(), "was sealed with a secret that is missing; restore the file") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, secretName)); !os.IsNotExist(err) {
		t.Errorf("a secret is there now: %v", err)
	}
}

func TestRootSecretFileIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"open to all": {goodSecret, 0o644, "chmod 600"},
		"empty":       {"", 0o600, "restore it from a backup"},
		"cut":         {goodSecret[:20], 0o600, "has 20 bytes"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, secretName)
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := RootSecret(embedded(dir)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProgramsRacingTheFirstStartShareOneSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got, made := make([][]byte, 16), make([]bool, 16)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			secrets, created, err := RootSecret(embedded(dir))
			if err != nil {
				t.Error(err)
				return
			}
			got[i], made[i] = secrets[0], created
		})
	}
	all.Wait()
	makers := 0
	for i := range got {
		if !bytes.Equal(got[i], got[0]) {
			t.Errorf("program %d has another secret", i)
		}
		if made[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d programs made it, want 1", makers)
	}
}

func TestRootSecretFromConfiguration(t *testing.T) {
	t.Parallel()
	c := embedded(t.TempDir())
	c.Secret = goodSecret + "\nexactly these thirty-two raw bytes"
	secrets, created, err := RootSecret(c)
	if err != nil || created || len(secrets) != 2 || len(secrets[0]) != 32 {
		t.Errorf("got %d, %v, %v", len(secrets), created, err)
	}
	if names, _ := os.ReadDir(c.DataDir); len(names) != 0 {
		t.Errorf("wrote %v", names)
	}
	if _, _, err := RootSecret(&Config{DatabaseURL: "postgres://db/gk"}); err == nil {
		t.Error("Postgres without a secret: accepted")
	}
	if s, created, err := RootSecret(&Config{DatabaseURL: "sqlite::memory:"}); err != nil || !created || len(s[0]) != 32 {
		t.Errorf("in memory: %v, %v", created, err)
	}
}
