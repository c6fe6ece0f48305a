package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	secretName  = "secret" // in the data folder
	leastSecret = 32       // bytes
)

// RootSecret returns the root secrets, the active one first. If none is
// configured, the embedded database has its own in DATA_DIR/secret, which is
// made on the first start and only then: once there is a database it was sealed
// with that secret, and a new one would make every key and session in it garbage.
// created reports whether this call made it. A database in memory gets one that
// is forgotten with it.
func RootSecret(c *Config) (secrets [][]byte, created bool, err error) {
	if c.Secret != "" {
		secrets, err = roots(c.Secret.Reveal())
		if err != nil {
			return nil, false, c.wrong("secret", "%s", err)
		}
		return secrets, false, nil
	}
	if c.Postgres() {
		return nil, false, postgresNeedsSecret(c)
	}
	if c.DatabaseFile() == "" {
		secret := make([]byte, leastSecret)
		_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
		return [][]byte{secret}, true, nil
	}
	path := filepath.Join(c.DataDir, secretName)
	secrets, err = readRoots(c, path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secrets, false, err
	}
	if err := mayCreate(c, path); err != nil {
		return nil, false, err
	}
	created, err = createRoot(c.DataDir, path)
	if err != nil {
		return nil, false, c.Blame("data_dir", "cannot hold the root secret: %v", reason(err))
	}
	secrets, err = readRoots(c, path)
	return secrets, created, err
}

// mayCreate refuses a new secret beside a database that an older one sealed.
func mayCreate(c *Config, path string) error {
	database := c.DatabaseFile()
	_, err := os.Stat(database)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return c.Blame(c.DatabaseKey(), "leads to no database: %v", reason(err))
	}
	return &Error{Source: path, Detail: fmt.Sprintf(
		"the database %s was sealed with a secret that is missing; restore the file from a backup, or set secret_file to a copy", database)}
}

// readRoots reads the file of root secrets; its error is fs.ErrNotExist if there
// is none.
func readRoots(c *Config, path string) ([][]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, c.Blame("data_dir", "holds no root secret that can be read: %v", reason(err))
	}
	if err := private(path, info); err != nil {
		return nil, &Error{Key: "secret", Detail: err.Error()}
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return nil, c.Blame("data_dir", "holds no root secret that can be read: %v", reason(err))
	}
	secrets, err := roots(strings.TrimSpace(string(withoutMark(raw))))
	if err != nil {
		return nil, &Error{Source: path, Detail: "the secret " + err.Error() + "; restore it from a backup"}
	}
	return secrets, nil
}

// createRoot makes the secret durable under another name and then links it to
// path, so that path holds all of it or does not exist, whatever happens; of
// several programs that try, one links, and the others use what it made.
func createRoot(dir, path string) (created bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	f, err := os.CreateTemp(dir, secretName+".*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	secret := make([]byte, leastSecret)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
	_, writeErr := f.WriteString(base64.RawURLEncoding.EncodeToString(secret) + "\n")
	if err := errors.Join(writeErr, f.Sync(), f.Close()); err != nil {
		return false, err
	}
	if err := os.Link(f.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		return false, err
	}
	return true, syncDir(dir)
}

// syncDir makes a new name in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the path is the operator's own
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// roots reads root secrets: separated by commas or lines, each in base64url (or
// base64) if that yields enough bytes, else as it is.
func roots(text string) ([][]byte, error) {
	var secrets [][]byte
	seen := map[string]bool{}
	items := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
	if len(items) == 0 {
		return nil, errors.New("is empty")
	}
	for i, item := range items {
		item = strings.TrimSpace(item)
		secret := decoded(item)
		switch {
		case len(secret) < leastSecret:
			return nil, fmt.Errorf("number %d has %d bytes; it needs at least %d (openssl rand -base64 32)", i+1, len(secret), leastSecret)
		case sample(item, secret):
			return nil, fmt.Errorf("number %d looks like a sample, not like random bytes (openssl rand -base64 32)", i+1)
		case seen[string(secret)]:
			return nil, fmt.Errorf("number %d is given twice", i+1)
		}
		seen[string(secret)] = true
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

func decoded(item string) []byte {
	plain := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(item, "="))
	if b, err := base64.RawURLEncoding.DecodeString(plain); err == nil && len(b) >= leastSecret {
		return b
	}
	return []byte(item)
}

// sample reports whether a secret was made up by a person.
func sample(item string, secret []byte) bool {
	distinct := map[byte]bool{}
	for _, b := range secret {
		distinct[b] = true
	}
	if len(distinct) < 10 {
		return true
	}
	lower := strings.ToLower(item)
	for _, word := range []string{"changeme", "change-me", "change_me", "example", "password", "insecure", "12345678"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}
