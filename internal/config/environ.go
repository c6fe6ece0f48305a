package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// notOurs matches the names that are in the environment though nobody set them:
// Kubernetes describes each Service called gatekeeper or gatekeeper-… with them,
// and our tests find their servers by GATEKEEPER_TEST_.
var notOurs = regexp.MustCompile(`^GATEKEEPER_(TEST_.*|([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?))$`)

const configName = envPrefix + "CONFIG"

// environ makes a map of NAME=value lines.
func environ(lines []string) map[string]string {
	env := map[string]string{}
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, "="); ok {
			env[name] = value
		}
	}
	return env
}

// fromEnviron reads GATEKEEPER_ variables.
func fromEnviron(in *Input, env map[string]string, fields []Field) (source, error) {
	var s source
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		given, ok, err := in.variable(name, env[name], "environment "+name, fields)
		if problems = append(problems, err); ok {
			s.settings = append(s.settings, given)
		}
	}
	return s, errors.Join(problems...)
}

// variable reads one environment variable; ok is false where it sets nothing.
func (in *Input) variable(name, value, origin string, fields []Field) (given setting, ok bool, err error) {
	if !strings.HasPrefix(name, envPrefix) || name == configName || notOurs.MatchString(name) || slices.Contains(in.Reserved, name) {
		return setting{}, false, nil
	}
	key := strings.ToLower(strings.TrimPrefix(name, envPrefix))
	f, file, known := find(fields, key)
	if !known || name != strings.ToUpper(name) {
		all := append([]string{configName}, in.Reserved...)
		for _, n := range names(fields) {
			all = append(all, envPrefix+strings.ToUpper(n))
		}
		detail := "is no setting"
		if !strings.HasSuffix(origin, name) {
			detail = name + " " + detail
		}
		return setting{}, false, &Error{Source: origin, Detail: detail + near(name, all)}
	}
	return setting{field: f, text: value, source: origin, file: file}, value != "", nil
}

// fromDotEnv reads the file .env, where names that are not ours belong to others.
func fromDotEnv(in *Input, _ map[string]string, fields []Field) (source, error) {
	s := source{path: filepath.Join(in.Dir, ".env")}
	raw, err := in.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return source{}, nil
	}
	if err != nil {
		return source{}, &Error{Source: ".env", Detail: fmt.Sprintf("cannot be read: %v", reason(err))}
	}
	var problems []error
	seen := map[string]int{}
	for _, a := range dotEnv(string(withoutMark(raw))) {
		origin := fmt.Sprintf(".env:%d", a.line)
		if a.wrong != "" {
			problems = append(problems, &Error{Source: origin, Detail: a.wrong})
			continue
		}
		given, ok, err := in.variable(a.name, a.value, origin, fields)
		problems = append(problems, err)
		if !ok {
			continue
		}
		if first := seen[a.name]; first > 0 {
			problems = append(problems, &Error{Key: given.field.Key, Source: origin, Detail: fmt.Sprintf("is given already in line %d", first)})
		}
		seen[a.name] = a.line
		s.settings = append(s.settings, given)
	}
	return s, errors.Join(problems...)
}
