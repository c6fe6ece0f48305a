package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile is the longest configuration or secret file we read, in bytes.
const maxFile = 1 << 20

// Input is the world as Load sees it.
type Input struct {
	Args     map[string]string // values of the flags that were given, by key (secret_file, not secret)
	Environ  []string          // NAME=value, as os.Environ returns it
	Reserved []string          // GATEKEEPER_ names that others read
	Dir      string            // where .env and gatekeeper.yaml are looked for and relative paths begin
	File     string            // the YAML file; "" is GATEKEEPER_CONFIG, else Dir/gatekeeper.yaml if there is one
	ReadFile func(name string) ([]byte, error)
	Stat     func(name string) (fs.FileInfo, error)
}

// A setting is one text that one source gives for a key.
type setting struct {
	field  Field
	text   string
	source string
	file   bool // text is the name of the file that holds the value
}

// A source is all settings of equal strength.
type source struct {
	settings []setting
	path     string // the file they are from, if any
}

// Load reads and checks the configuration. Its error joins every *Error found.
func Load(in Input) (*Config, error) {
	env := environ(in.Environ)
	fields := Fields()
	var sources []source // weakest first
	var problems []error
	for _, read := range []func(*Input, map[string]string, []Field) (source, error){
		fromYAML, fromDotEnv, fromEnviron, fromArgs,
	} {
		s, err := read(&in, env, fields)
		if err == nil {
			err = errors.Join(s.bothGiven(), in.openToOthers(s))
		}
		problems = append(problems, err)
		sources = append(sources, s)
	}
	c, err := in.fill(fields, sources, env)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	c.derive(in.Dir)
	if err := errors.Join(c.Check(), in.keyReadable(c)); err != nil {
		return nil, err
	}
	return c, nil
}

// fill lets stronger sources overwrite weaker ones.
func (in *Input) fill(fields []Field, sources []source, env map[string]string) (*Config, error) {
	chosen := map[string]setting{}
	for _, f := range fields {
		if f.Default != "" {
			chosen[f.Key] = setting{field: f, text: f.Default, source: sourceDefault}
		}
	}
	for _, s := range sources {
		for _, given := range s.settings {
			chosen[given.field.Key] = given
		}
	}
	c := &Config{DataDir: dataDir(env), origin: map[string]string{}}
	var problems []error
	for _, f := range fields {
		c.origin[f.Key] = sourceDefault
		given, ok := chosen[f.Key]
		if !ok {
			continue
		}
		c.origin[f.Key] = given.source
		if err := in.apply(c, given); err != nil {
			problems = append(problems, &Error{Key: f.Key, Source: given.source, Detail: err.Error()})
		}
	}
	return c, errors.Join(problems...)
}

func (in *Input) apply(c *Config, given setting) error {
	text := given.text
	if given.file {
		raw, err := in.secretFile(in.path(text))
		if err != nil {
			return err
		}
		text = strings.TrimRight(string(raw), "\r\n")
		if text == "" {
			return fmt.Errorf("is in %s, which is empty", given.text)
		}
	}
	return given.field.set(c, text)
}

// secretFile reads a file that only its owner and group may read.
func (in *Input) secretFile(name string) ([]byte, error) {
	if err := in.private(name); err != nil {
		return nil, err
	}
	return in.read(name)
}

// private refuses a file that every user of this computer can read.
func (in *Input) private(name string) error {
	info, err := in.Stat(name)
	if err != nil {
		return fmt.Errorf("is in %s, which cannot be read: %w", name, reason(err))
	}
	return private(name, info)
}

func private(name string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("is in %s, which every user of this computer can read; run: chmod 600 %s", name, name)
	}
	return nil
}

func (in *Input) read(name string) ([]byte, error) {
	raw, err := in.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot be read from %s: %w", name, reason(err))
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("cannot be read from %s: longer than %d bytes", name, maxFile)
	}
	return withoutMark(raw), nil
}

// reason strips the path from an error of package os; the sentence around has it.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (in *Input) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(in.Dir, name)
}

// bothGiven refuses a secret given by value and by file in one source: one of
// them would be ignored.
func (s source) bothGiven() error {
	var problems []error
	for i, a := range s.settings {
		for _, b := range s.settings[i+1:] {
			if a.field.Key == b.field.Key && a.file != b.file {
				problems = append(problems, &Error{
					Key: a.field.Key, Source: a.source,
					Detail: "is given both as it is and as " + a.field.Key + fileSuffix + "; choose one",
				})
			}
		}
	}
	return errors.Join(problems...)
}

// openToOthers refuses a file that holds a secret itself and that others can read.
func (in *Input) openToOthers(s source) error {
	if s.path == "" {
		return nil
	}
	for _, given := range s.settings {
		if !given.field.Secret || given.file || given.field.flagged && !hasPassword(given.text) {
			continue
		}
		if err := in.private(s.path); err != nil {
			return &Error{Key: given.field.Key, Source: given.source, Detail: err.Error()}
		}
	}
	return nil
}

// keyReadable refuses a TLS key that others can read.
func (in *Input) keyReadable(c *Config) error {
	if c.TLSKey == "" {
		return nil
	}
	if err := in.private(in.path(c.TLSKey)); err != nil {
		return c.wrong("tls_key", "%s", err)
	}
	return nil
}

// fromArgs reads the flags.
func fromArgs(in *Input, _ map[string]string, fields []Field) (source, error) {
	var s source
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(in.Args)) {
		flag := "flag --" + strings.ReplaceAll(name, "_", "-")
		f, file, ok := find(fields, name)
		switch {
		case !ok:
			problems = append(problems, &Error{Source: flag, Detail: "is no setting" + near(name, names(fields))})
		case !f.flagged && !file:
			problems = append(problems, &Error{Source: flag, Detail: "would show the secret to every user of this computer; use --" + f.Flag})
		default:
			s.settings = append(s.settings, setting{field: f, text: in.Args[name], source: flag, file: file})
		}
	}
	return s, errors.Join(problems...)
}

// dataDir is gatekeeper in the user's data folder (XDG Base Directory).
func dataDir(env map[string]string) string {
	base := env["XDG_DATA_HOME"]
	if !filepath.IsAbs(base) {
		base = filepath.Join(cmp.Or(env["HOME"], "."), ".local", "share")
	}
	return filepath.Join(base, "gatekeeper")
}
