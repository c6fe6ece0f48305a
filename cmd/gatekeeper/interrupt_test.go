package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// TestCtrlCAtAPrompt ends the command at once and changes nothing, whether it is
// typed on a real terminal or the program is told to end.
func TestCtrlCAtAPrompt(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]struct {
		stop func(*os.File, *os.Process) error
		want int
	}{
		"Ctrl-C":  {func(terminal *os.File, _ *os.Process) error { _, err := terminal.WriteString("\x03"); return err }, 130},
		"SIGTERM": {func(_ *os.File, p *os.Process) error { return p.Signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			command := func(args ...string) *exec.Cmd {
				c := exec.CommandContext(t.Context(), "gatekeeper", args...)
				c.Dir, c.Env = dir, []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GATEKEEPER_ALGS=RS256"}
				return c
			}
			if out, err := command("migrate", "up").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := command("client", "create", "shop", "--redirect-uri", "https://shop.example/cb").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c := command("client", "delete", "shop")
			terminal, err := pty.Start(c)
			if err != nil {
				t.Fatal(err)
			}
			defer terminal.Close()
			until(t, terminal, "[y/N]")
			if err := step.stop(terminal, c.Process); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			if got := c.ProcessState.ExitCode(); got != step.want {
				t.Errorf("exit status %d, want %d", got, step.want)
			}
			if out, err := command("client", "get", "shop").CombinedOutput(); err != nil {
				t.Errorf("the client is gone: %v\n%s", err, out)
			}
		})
	}
}

// until reads a terminal up to the words wanted.
func until(t *testing.T, r io.Reader, want string) {
	t.Helper()
	var seen []byte
	for one := make([]byte, 1); ; {
		if _, err := r.Read(one); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		if seen = append(seen, one[0]); len(seen) >= len(want) && string(seen[len(seen)-len(want):]) == want {
			return
		}
	}
}

// TestWaitingForStandardInputIsInterrupted wherever it is read.
func TestWaitingForStandardInputIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	never, w := io.Pipe()
	defer w.Close()
	a := &app{world: world{Stdin: interruptible{never, ctx.Done()}}}
	if _, err := a.readSecret("-"); status(err) != exitInterrupted {
		t.Errorf("exit status %d (%v)", status(err), err)
	}
}
