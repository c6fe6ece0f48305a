package conformance

import (
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// TestSupervisor plays systemd: it hears that the server is ready, that it lives,
// that a SIGHUP does not end it, and that it stops.
func TestSupervisor(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	hear := func(want string) {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		for {
			b := make([]byte, 4096)
			n, err := l.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.Contains(string(b[:n]), want) {
				return
			}
		}
	}
	d := embedded(t, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=300000")
	hear("READY=1")
	hear("WATCHDOG=1")
	if err := d.nodes[0].cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	poll(t, "SIGHUP is told in the log", func() bool { return strings.Contains(d.nodes[0].log.String(), `"event":"hangup"`) })
	hear("WATCHDOG=1")
	if err := d.nodes[0].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
}

// settingsIn finds the environment a deployment's file gives the server.
func settingsIn(t *testing.T, v any, into map[string]string) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if s, ok := inner.(string); ok && strings.HasPrefix(k, "GATEKEEPER_") {
				into[k] = s
			}
			settingsIn(t, inner, into)
		}
	case []any:
		for _, inner := range v {
			settingsIn(t, inner, into)
		}
	}
}

// TestComposeSettings gives the settings of each compose file to the program: no
// container engine is needed to find a misspelt or refused one.
func TestComposeSettings(t *testing.T) {
	t.Parallel()
	for file, replaced := range map[string]map[string]string{
		"compose.yaml": nil,
		"compose.ha.yaml": {
			"${GATEKEEPER_HOST:-id.example.org}": "id.example.org",
			"/run/secrets/database_url":          "DATABASE", "/run/secrets/gatekeeper": "SECRET",
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var doc map[string]any
			if err := yaml.Unmarshal([]byte(readFile(t, filepath.Join("..", "deploy", file))), &doc); err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			settingsIn(t, doc, found)
			delete(found, "GATEKEEPER_HOST") // the proxy's and compose's own
			if len(found) == 0 {
				t.Fatal("no settings found")
			}
			dir := t.TempDir()
			secrets := map[string]string{"DATABASE": "postgres://gatekeeper:x@postgres/gatekeeper", "SECRET": rand.Text() + rand.Text()}
			d := &deployment{env: []string{"GATEKEEPER_LISTEN=:8080", "GATEKEEPER_DATA_DIR=" + dir}}
			for k, v := range found {
				for from, to := range replaced {
					v = strings.ReplaceAll(v, from, to)
				}
				if text, ok := secrets[v]; ok {
					v = filepath.Join(dir, v)
					if err := os.WriteFile(v, []byte(text), 0o400); err != nil {
						t.Fatal(err)
					}
				}
				d.env = append(d.env, k+"="+v)
			}
			d.cli(t, "config", "check")
		})
	}
}

// TestContainerfile holds the container to the Makefile's build and to what a
// static binary from scratch needs.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	text := readFile(t, filepath.Join("..", "Containerfile"))
	for _, want := range []string{
		"FROM scratch", "USER 65532:65532", "ca-certificates.crt", "HEALTHCHECK", "CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'",
		`CMD ["serve"]`, "LICENSE",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Containerfile has no %q", want)
		}
	}
	if mod := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../go.mod")); !strings.Contains(text, "golang:"+mod[1]+" ") {
		t.Errorf("the Containerfile does not build with go %s, which go.mod wants", mod[1])
	}
}

// TestUnit lets systemd read the unit, where there is one to ask.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit := readFile(t, filepath.Join("..", "deploy", "gatekeeper.service"))
	for _, want := range []string{"Type=notify", "WatchdogSec=", "DynamicUser=yes", "StateDirectory=", "LoadCredential=", "ProtectSystem=strict", "NoNewPrivileges=yes"} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit has no %q", want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd here to ask")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "gatekeeper.service", strings.ReplaceAll(unit, "/usr/local/bin/gatekeeper", path))
	if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "gatekeeper.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
