package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A remote is a server somebody signed in to from the command line.
type remote struct {
	Server  string    `json:"server"` // of the admin API: the tokens go there and to the issuer, nowhere else
	Issuer  string    `json:"issuer"`
	Client  string    `json:"client_id"`
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token,omitempty"`
	Expires time.Time `json:"expires_at"`
}

// remotesFile is where they are kept, in the user's configuration folder (XDG Base
// Directory).
func (a *app) remotesFile() string {
	base := a.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		base = filepath.Join(cmp.Or(a.Getenv("HOME"), a.Dir), ".config")
	}
	return filepath.Join(base, "gatekeeper", "logins.json")
}

func (a *app) remotes() ([]remote, error) {
	name := a.remotesFile()
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, usagef("%s holds tokens and others can read it; run: chmod 600 %s", name, name)
	}
	text, err := readBounded(name)
	if err != nil {
		return nil, err
	}
	var all []remote
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return all, nil
}

// keepRemote writes one login, or with no access token forgets it. The file is
// replaced as a whole, so that it is never half a file.
func (a *app) keepRemote(r remote) error {
	all, err := a.remotes()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(old remote) bool { return old.Server == r.Server })
	if r.Access != "" {
		all = append(all, r)
	}
	text, err := json.MarshalIndent(all, "", "  ") //nolint:gosec // G117: the file is where the tokens live, for its owner only
	if err != nil {
		return err
	}
	name := a.remotesFile()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "logins.*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, werr := f.Write(text)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(f.Name(), name)
}

// remote returns the login for a server.
func (a *app) remote(server string) (remote, bool, error) {
	all, err := a.remotes()
	i := slices.IndexFunc(all, func(r remote) bool { return r.Server == server })
	if err != nil || i < 0 {
		return remote{}, false, err
	}
	return all[i], true, nil
}
