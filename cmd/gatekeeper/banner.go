package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// started is what a person wants to know when the server is up. Empty fields are
// not shown.
type started struct {
	Version     string
	Development bool
	Untouched   bool // nobody configured anything
	Open        bool // other computers can reach it
	Issuer      string
	Listen      string // shown only if the issuer does not say it
	Metrics     string // URL on the management listener
	Data        string // where the embedded database lives; "" with another
	Database    string // "sqlite" or "postgres"
	DataNew     bool   // made by this very start
	TrustCA     string // path of the development CA
	SetupURL    string // makes the first administrator; only while there is none
	SetupFor    time.Duration
	Took        time.Duration
}

// announce tells a terminal in words, and anything else in one JSON line.
func announce(ctx context.Context, w io.Writer, tty bool, log *slog.Logger, s started) {
	if tty {
		_, _ = io.WriteString(w, s.text()) // a closed stderr has nobody to tell
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, "Gatekeeper is ready", s.attrs()...)
}

func (s started) discovery() string {
	return strings.TrimSuffix(s.Issuer, "/") + "/.well-known/openid-configuration"
}

func (s started) text() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-11s %s\n", name, value)
		}
	}
	b.WriteString("Gatekeeper " + s.Version)
	b.WriteString(s.mode() + "\n\n")
	line("Issuer", s.Issuer)
	line("Discovery", s.discovery())
	line("Account", strings.TrimSuffix(s.Issuer, "/")+"/account")
	line("Listening", s.Listen)
	line("Metrics", s.Metrics)
	line("Data", s.where())
	if s.TrustCA != "" {
		line("Trust", s.TrustCA+"  (development certificates; only browsers that trust it accept them)")
	}
	if s.SetupURL != "" {
		fmt.Fprintf(&b, "\n  Create the first administrator. The link works once, for %d minutes:\n    %s\n", int(s.SetupFor.Minutes()), s.SetupURL)
	}
	if s.Development {
		b.WriteString("\n  See a login from an app's side:   gatekeeper try\n")
		b.WriteString("  Register your own app:            gatekeeper client create my-app --redirect-uri http://localhost:3000/callback\n")
	}
	fmt.Fprintf(&b, "\nReady in %.2f s. Stop with Ctrl-C.\n", s.Took.Seconds())
	return b.String()
}

// mode says what a development server must not be taken for.
func (s started) mode() string {
	switch {
	case !s.Development:
		return ""
	case s.Open:
		return "  development mode, and other computers can reach it"
	case s.Untouched:
		return "  development mode: no configuration, listening on this computer only"
	default:
		return "  development mode, listening on this computer only"
	}
}

// where says in which database everything is kept, and whether it is a new one.
func (s started) where() string {
	if s.Data == "" {
		return s.Database
	}
	what := s.Database
	if s.DataNew {
		what += ", created just now"
	}
	return s.Data + "  (" + what + ")"
}

// attrs is the same for programs. The set-up link is among them on purpose: in a
// container the log is the only place its owner can read it.
func (s started) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("event", "started"), slog.String("version", s.Version), slog.Bool("development", s.Development),
		slog.String("issuer", s.Issuer), slog.String("discovery", s.discovery()),
	}
	for _, a := range []slog.Attr{
		slog.String("listen", s.Listen), slog.String("metrics", s.Metrics), slog.String("database", s.Database), slog.String("data", s.Data),
		slog.String("trust_ca", s.TrustCA), slog.String("setup_url", s.SetupURL),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return append(attrs, slog.Bool("data_new", s.DataNew), slog.Float64("took_s", s.Took.Seconds()))
}
