package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mute is the write end of a pipe that takes no byte more.
func mute(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close(); _ = write.Close() })
	if err := write.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := write.Write(make([]byte, 1<<20)); err == nil {
		t.Fatal("the pipe is not full")
	}
	return read, write
}

// TestALogNobodyReadsStopsNobody: a full pipe at standard output and standard error
// stops neither the start, nor a request, nor the end; and neither does a reader
// that went away.
func TestALogNobodyReadsStopsNobody(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			at := "http://localhost:" + port
			mgmt := "127.0.0.1:" + freePort(t)
			read, full := mute(t)
			cmd := exec.CommandContext(t.Context(), path, "serve")
			cmd.Env = world([]string{
				"GATEKEEPER_ISSUER=" + at, "GATEKEEPER_LISTEN=localhost:" + port, "GATEKEEPER_MANAGEMENT_LISTEN=" + mgmt,
				"GATEKEEPER_DATA_DIR=" + t.TempDir(), "GATEKEEPER_LOG_FORMAT=" + format,
			})
			cmd.Stdout, cmd.Stderr = full, full
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			answers := func(what string) {
				poll(t, what, func() bool {
					r, err := http.PostForm(at+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
					if err != nil {
						return false
					}
					_ = body(t, r)
					return r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusTooManyRequests
				})
			}
			answers("an answer with a full pipe")
			line := "/" + strings.Repeat("x", 4000)
			for range 200 {
				r, err := http.Get(at + line)
				if err != nil {
					t.Fatal(err)
				}
				_ = body(t, r)
			}
			answers("an answer behind many lines")
			if err := read.Close(); err != nil {
				t.Fatal(err)
			}
			answers("an answer without a reader")
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-exited; err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// TestAFullPipeHoldsUpNoEnd: with the reader still there, and still not reading.
func TestAFullPipeHoldsUpNoEnd(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string][]string{
		"stopped":         nil,
		"could not start": {"GATEKEEPER_LISTEN=nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, full := mute(t)
			port := freePort(t)
			cmd := exec.CommandContext(t.Context(), path, "serve")
			cmd.Env = world(append([]string{
				"GATEKEEPER_LISTEN=localhost:" + port, "GATEKEEPER_MANAGEMENT_LISTEN=off", "GATEKEEPER_DATA_DIR=" + t.TempDir(),
			}, env...))
			cmd.Stdout, cmd.Stderr = full, full
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan struct{})
			go func() { _ = cmd.Wait(); close(exited) }()
			if env == nil {
				poll(t, "ready", func() bool {
					r, err := http.Get("http://localhost:" + port + "/readyz")
					if err == nil {
						_ = r.Body.Close()
					}
					return err == nil && r.StatusCode == http.StatusOK
				})
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			<-exited
		})
	}
}

// metric returns the sum of a counter with these labels over all nodes.
func (d *deployment) metric(t *testing.T, name, labels string) int {
	t.Helper()
	sum := 0
	for _, n := range d.nodes {
		r, err := http.Get("http://" + n.mgmt + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^`+name+`\{(.*)\} (\S+)$`).FindAllStringSubmatch(body(t, r), -1) {
			if strings.Contains(m[1], labels) {
				v, err := strconv.ParseFloat(m[2], 64)
				if err != nil {
					t.Fatal(err)
				}
				sum += int(v)
			}
		}
	}
	return sum
}

// TestAFloodOfRefusalsFillsNothing: what a stranger can be refused at will costs a
// few rows and lines, each of them short; the metrics count all of it, and every
// reference a page showed is explained.
func TestAFloodOfRefusalsFillsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, d *deployment) {
		d.client(t, "shop", "--redirect-uri", callback)
		long := strings.Repeat("x", 3000)
		const n = 120
		shown := map[string]bool{}
		for name, ask := range map[string]func() *http.Request{
			"a bad secret": func() *http.Request {
				r := post(t, d.issuer+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
				r.SetBasicAuth("shop", "wrong")
				return r
			},
			"a bad bearer": func() *http.Request {
				r := post(t, d.issuer+"/oidc/userinfo", nil)
				r.Header.Set("Authorization", "Bearer "+long)
				return r
			},
			"an unknown client": func() *http.Request { return get(t, d.issuer+"/oauth2/authorize?client_id="+long[:200]) },
			"a foreign address": func() *http.Request {
				return get(t, d.issuer+"/oauth2/authorize?client_id=shop&redirect_uri=https://x.example/"+long)
			},
			"an unreadable form": func() *http.Request {
				return post(t, d.issuer+"/oauth2/token", url.Values{"a": {long}, "grant_type": {"x"}})
			},
			"a broken set-up link": func() *http.Request { return get(t, d.issuer+"/setup/nothing") },
		} {
			for range n {
				r := ask()
				r.Header.Set("User-Agent", long)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text := body(t, resp)
				if resp.StatusCode < 400 {
					t.Fatalf("%s: status %d", name, resp.StatusCode)
				}
				if ref := reference.FindString(text); ref != "" && resp.StatusCode != http.StatusNotFound && strings.Contains(resp.Header.Get("Content-Type"), "html") {
					shown[ref] = true
				}
			}
		}
		if got := d.metric(t, "gatekeeper_http_request_duration_seconds_count", `route="/oauth2/token"`); got < 2*n {
			t.Errorf("the metric counted %d, want %d at least", got, 2*n)
		}
		for ref := range shown {
			poll(t, "explain "+ref, func() bool {
				out, _, err := d.try(t, "", "explain", ref)
				return err == nil && strings.Contains(out, ref)
			})
		}
		rows := 0
		for line := range strings.Lines(d.cli(t, "audit", "export", "--kind", "request.refused")) {
			rows++
			if len(line) > 3000 {
				t.Errorf("a row of %d bytes: %s", len(line), line)
			}
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
		}
		if most := 12 * 6 * len(d.nodes); rows == 0 || rows > most {
			t.Errorf("%d rows, want %d at most", rows, most)
		}
		lines := 0
		for _, node := range d.nodes {
			lines += strings.Count(node.log.String(), `"reference"`) + strings.Count(node.log.String(), " reference=")
		}
		if most := 12 * 6 * len(d.nodes); lines > most {
			t.Errorf("%d lines, want %d at most", lines, most)
		}
	})
}

// TestAReferenceThatStandsForManySaysSo: with the total, when its node has told it.
func TestAReferenceThatStandsForManySaysSo(t *testing.T) {
	t.Parallel()
	d := embedded(t, "GATEKEEPER_RATE_LIMIT_FACTOR=1")
	last := ""
	for range 40 {
		r, err := http.Get(d.issuer + "/setup/nothing")
		if err != nil {
			t.Fatal(err)
		}
		status := r.StatusCode
		if text := body(t, r); status == http.StatusTooManyRequests {
			last = reference.FindString(text)
		}
	}
	if got := d.metric(t, "gatekeeper_rate_limited_total", `rule="setup"`); got < 25 {
		t.Errorf("the metric of the set-up limit says %d", got)
	}
	explain := func() string {
		out, _, err := d.try(t, "", "explain", last)
		if err != nil {
			return ""
		}
		return out
	}
	poll(t, "the reference is explained", func() bool { return strings.Contains(explain(), "possibly many") })
	d.nodes[0].stop(t) // which tells the totals of windows that are still open
	if got := explain(); !regexp.MustCompile(`ONE OF\s+(2[5-9]|30) of this kind`).MatchString(got) {
		t.Errorf("afterwards:\n%s", got)
	}
}

func get(t *testing.T, address string) *http.Request {
	t.Helper()
	return ask(t, http.MethodGet, address, nil)
}

func post(t *testing.T, address string, form url.Values) *http.Request {
	t.Helper()
	r := ask(t, http.MethodPost, address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func ask(t *testing.T, method, address string, content io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, content)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
