package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/strictjson"
	"github.com/gatekeeper-oidc/gatekeeper/internal/yamlfile"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// maxDeclared is the longest file of clients, in bytes: room for thousands. Of YAML
// it is yamlfile.MaxBytes.
const maxDeclared = yamlfile.MaxJSON

// A declared client is a client as a file has it.
type declared struct {
	oauth2.Client
	SecretFile string `json:"secret_file,omitempty"` // read when the client is created

	secret string
}

// declaration is c without what the server sets by itself.
func declaration(c oauth2.Client) oauth2.Client {
	c.CreatedAt, c.UpdatedAt = time.Time{}, time.Time{}
	return c
}

// readDeclared reads the clients of all files. One that is there twice is a
// mistake, not an update.
func (a *app) readDeclared(files []string) ([]declared, error) {
	var all []declared
	for _, file := range files {
		text, err := a.readFile(file, maxDeclared)
		if err != nil {
			return nil, err
		}
		some, err := parseDeclared(text)
		if err != nil {
			return nil, usagef("%s: %v", file, err)
		}
		all = append(all, some...)
	}
	for i := range all {
		if slices.ContainsFunc(all[:i], func(d declared) bool { return d.ID == all[i].ID }) {
			return nil, usagef("client %s is declared twice", all[i].ID)
		}
		if all[i].SecretFile == "" {
			continue
		}
		secret, err := a.readSecret(all[i].SecretFile)
		if err != nil {
			return nil, fmt.Errorf("secret of client %s: %w", all[i].ID, err)
		}
		all[i].secret = secret
	}
	return all, nil
}

var (
	errNoID      = errors.New("a client has no id")
	errNoClients = errors.New("neither a client nor a list of clients")
)

// parseDeclared reads YAML, of which JSON is a part: documents that are each a
// mapping with clients, a list of clients, or one client. A member nobody knows
// is a mistake.
func parseDeclared(text []byte) ([]declared, error) {
	docs, err := yamlfile.Read(text)
	if err != nil {
		return nil, err
	}
	var all []declared
	for _, d := range docs {
		some, err := declaredIn(d)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	for i, c := range all {
		if c.ID == "" {
			return nil, fmt.Errorf("%w (number %d)", errNoID, i+1)
		}
	}
	return all, nil
}

// declaredIn reads one document. It goes through JSON, whose member names are
// those of the admin API.
func declaredIn(d yamlfile.Document) ([]declared, error) {
	switch d.JSON[0] {
	case '[':
		return strict[[]declared](d)
	case '{':
		var members map[string]json.RawMessage
		if err := json.Unmarshal(d.JSON, &members); err != nil {
			return nil, fmt.Errorf("not a list of clients: %w", err)
		}
		if _, several := members["clients"]; several {
			list, err := strict[declaredList](d)
			return list.Clients, err
		}
		one, err := strict[declared](d)
		return []declared{one}, err
	default:
		return nil, errNoClients
	}
}

type declaredList struct {
	Clients []declared `json:"clients"`
}

// strict reads a document as T, and says of a member that T does not have where it
// stands and what was probably meant.
func strict[T any](d yamlfile.Document) (T, error) {
	var out T
	err := strictjson.Decode(d.JSON, &out)
	e, ok := errors.AsType[*strictjson.Error](err)
	if !ok {
		return out, err
	}
	why := e.Error()
	if e.Problem == strictjson.Unknown {
		why = fmt.Sprintf("unknown field %q", e.Path)
		if best := nearest(e); best != "" {
			why += fmt.Sprintf("; did you mean %q?", best)
		}
	}
	if line := d.Line(e.Path); line > 0 {
		return out, &yamlfile.Error{Line: line, Why: why}
	}
	return out, errors.New(why)
}

// nearest is the member that was probably meant by one nobody knows, "" if none is near.
func nearest(e *strictjson.Error) string {
	if e.Near != "" || len(e.Known) == 0 {
		return e.Near
	}
	name := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
	best, least := "", len(name)/2+1
	for _, known := range slices.Sorted(slices.Values(e.Known)) {
		if d := config.Distance(name, known); d < least {
			best, least = known, d
		}
	}
	return best
}
