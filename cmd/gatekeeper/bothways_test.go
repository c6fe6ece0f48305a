package main

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheManagementDoorHasTheCertificate of the server, and still answers probes
// that know no TLS.
func TestTheManagementDoorHasTheCertificate(t *testing.T) {
	t.Parallel()
	h := openHouse(t, "--tls", "dev")
	side := trusting(t, filepath.Join(h.dir, "tls", "dev-ca.crt"), "127.0.0.1")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: side}}
	_, address, _ := strings.Cut(h.management, "://")
	for _, scheme := range []string{"https", "http"} {
		for range 2 {
			res, err := client.Do(mustGet(t.Context(), scheme+"://"+address+"/readyz"))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK || (res.TLS != nil) != (scheme == "https") {
				t.Errorf("%s: %s, TLS %t", scheme, res.Status, res.TLS != nil)
			}
		}
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}); err == nil {
		t.Error("a stranger's authority is believed")
	}
}

func TestOnlyHere(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:9090": true, "[::1]:9090": true, "localhost:9090": true,
		":9090": false, "0.0.0.0:9090": false, "[::]:9090": false, "192.0.2.1:9090": false, "id.example.org:9090": false,
	} {
		if got := onlyHere(address); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}
