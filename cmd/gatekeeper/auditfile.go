package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
	"github.com/gatekeeper-oidc/gatekeeper/internal/strictjson"
)

// verifyFile checks an export of any size, event by event.
func (a *app) verifyFile(name string, check verifier) error {
	in := a.Stdin
	if name != "-" {
		f, err := os.Open(a.path(name))
		if err != nil {
			return usagef("read %s: %v", name, err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	for d := json.NewDecoder(in); ; {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return a.showVerified(check)
		}
		if err != nil {
			return &exitError{exitFailed, fmt.Errorf("%s, event %d: %w", name, check.Events+1, err)}
		}
		e, err := decodeEvent(raw)
		if err != nil {
			return &exitError{exitFailed, fmt.Errorf("%s, event %d: %w", name, check.Events+1, err)}
		}
		if err := check.page([]audit.Event{e}); err != nil {
			return err
		}
	}
}

// decodeEvent refuses what the chain does not cover: a member nobody knows, one
// that is there twice, one under another spelling.
func decodeEvent(raw json.RawMessage) (audit.Event, error) {
	var e audit.Event
	if err := strictjson.Decode(raw, &e); err != nil {
		return e, fmt.Errorf("decode: %w", err)
	}
	return e, nil
}
