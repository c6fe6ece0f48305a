package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// maxDeclared is the longest file of clients, in bytes: room for thousands.
const maxDeclared = 8 << 20

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
	var all []declared
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document any
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New(yaml.FormatError(err, false, true))
		}
		some, err := declaredIn(document)
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
func declaredIn(document any) ([]declared, error) {
	if document == nil {
		return nil, nil
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("not a list of clients: %w", err)
	}
	switch m := document.(type) {
	case []any:
		return strict[[]declared](text)
	case map[string]any:
		if _, several := m["clients"]; several {
			list, err := strict[declaredList](text)
			return list.Clients, err
		}
		one, err := strict[declared](text)
		return []declared{one}, err
	default:
		return nil, errNoClients
	}
}

type declaredList struct {
	Clients []declared `json:"clients"`
}

// strict decodes JSON and refuses a member that T does not have.
func strict[T any](text []byte) (T, error) {
	var out T
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return out, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return out, nil
}
