package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/fault"
)

// The exit statuses: a contract with scripts.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitNotAllowed  = 5
	exitUnreachable = 6
	exitDifferent   = 10
	exitConfig      = 78 // EX_CONFIG of sysexits.h
	exitInterrupted = 130
)

// An exitError is an error that chose its exit status. With a nil err everything
// has been said already.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// badConfig marks err as the configuration's fault.
func badConfig(err error) error { return &exitError{exitConfig, err} }

// status returns the exit status err stands for.
func status(err error) int {
	var chosen *exitError
	var network net.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &chosen):
		return chosen.status
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case len(config.Errors(err)) > 0:
		return exitConfig
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable
	}
	switch fault.Of(err).Kind {
	case fault.Invalid, fault.TooLarge, fault.Unsupported:
		return exitUsage
	case fault.NotFound:
		return exitNotFound
	case fault.Conflict, fault.Stale:
		return exitConflict
	case fault.Unauthenticated, fault.Forbidden:
		return exitNotAllowed
	case fault.Unavailable:
		return exitUnreachable
	default:
		return exitFailed
	}
}

// report tells the person what went wrong and returns the exit status.
func (a *app) report(cmd *cobra.Command, err error) int {
	code := status(err)
	var chosen *exitError
	if err == nil || errors.As(err, &chosen) && chosen.err == nil {
		return code
	}
	lines := explainLines(err)
	if f := new(fault.Error); errors.As(err, &f) {
		for _, fact := range f.Facts {
			lines = append(lines, fmt.Sprintf("  %s: %s", clean(fact.Name), clean(fact.Value)))
		}
	}
	if code == exitUsage && cmd != nil {
		lines = append(lines, "See: "+cmd.CommandPath()+" --help")
	}
	_, _ = fmt.Fprintln(a.Stderr, strings.Join(lines, "\n")) // a closed stderr has nobody to tell
	return code
}

// explainLines is err for a person: every mistake of a configuration has a line
// of its own.
func explainLines(err error) []string {
	mistakes := config.Errors(err)
	if len(mistakes) == 0 {
		return []string{"gatekeeper: " + explainError(err)}
	}
	lines := make([]string, len(mistakes))
	for i, m := range mistakes {
		lines[i] = "gatekeeper: " + clean(m.Error())
	}
	return lines
}

// explainError is err in one sentence. An operator may read the cause of what
// did not work, but not of what they did wrong: that is said in the detail.
func explainError(err error) string {
	var f *fault.Error
	switch {
	case !errors.As(err, &f):
		return clean(err.Error())
	case f.Detail == "":
		return clean(err.Error())
	case f.Err != nil && (f.Kind == fault.Internal || f.Kind == fault.Unavailable):
		return clean(f.Detail + " (" + f.Err.Error() + ")")
	default:
		return clean(f.Detail)
	}
}
