package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gatekeeper-oidc/gatekeeper/audit"
)

// verifyFile checks an export of any size, event by event.
func (a *app) verifyFile(name string) error {
	in := a.Stdin
	if name != "-" {
		f, err := os.Open(a.path(name))
		if err != nil {
			return usagef("read %s: %v", name, err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	var check verifier
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

// decodeEvent refuses a field the chain does not cover.
func decodeEvent(raw json.RawMessage) (audit.Event, error) {
	var e audit.Event
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, fmt.Errorf("decode: %w", err)
	}
	return e, nil
}
