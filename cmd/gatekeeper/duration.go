package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
)

// A durationFlag is a span of time, read as everywhere else in the program.
type durationFlag struct{ to *time.Duration }

func (d durationFlag) String() string {
	if d.to == nil || *d.to == 0 {
		return ""
	}
	return d.to.String()
}

// Set reads what the person typed.
func (d durationFlag) Set(text string) (err error) {
	*d.to, err = config.Duration(text)
	return err
}

// Type is what help calls the value.
func (d durationFlag) Type() string { return "duration" }

// durationVar gives flags one for a span of time.
func durationVar(flags *pflag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	flags.Var(durationFlag{to}, name, usage)
}
