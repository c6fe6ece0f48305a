package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatekeeper-oidc/gatekeeper/keys"
)

// A build is what a binary knows of how it was made.
type build struct {
	Version  string    `json:"version"`
	Revision string    `json:"revision,omitempty"`
	Modified bool      `json:"modified,omitempty"` // built from a tree with uncommitted changes
	At       time.Time `json:"commit_time,omitzero"`
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
	Signer   string    `json:"signer"` // what makes signatures
}

// thisBuild reads what the Go toolchain stamped into the binary.
func thisBuild() build {
	b := build{Version: "development", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Signer: keys.SourceName()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				b.At = at
			}
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say what this binary is",
		Example: "  gatekeeper version\n  gatekeeper version -o json",
		Args:    between(0),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			return a.print(view{value: b, names: []string{b.Version}, table: func(t *table) {
				t.field("GATEKEEPER", b.Version)
				if b.Revision != "" {
					t.field("REVISION", fmt.Sprintf("%.12s", b.Revision), moment(b.At), map[bool]string{true: "with uncommitted changes"}[b.Modified])
				}
				t.field("GO", b.Go, b.Platform)
				t.field("SIGNER", b.Signer)
			}})
		},
	}
}
