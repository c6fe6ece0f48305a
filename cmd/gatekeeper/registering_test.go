package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/oauth2"
)

// publicKey is one of RFC 7515 appendix A.3.
const publicKey = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

func TestReadSoftwareIssuers(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"JSON": `{"https://a.example":{"keys":[` + publicKey + `]},"https://b.example":{"keys":[` + publicKey + `]}}`,
		"YAML": "# ours\nhttps://a.example:\n  keys: [" + publicKey + "]\nhttps://b.example:\n  keys:\n    - " + publicKey + "\n",
	} {
		file := filepath.Join(t.TempDir(), "issuers")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readSoftwareIssuers(&config.Config{RegistrationSoftwareIssuers: file})
		if err != nil || len(got) != 2 || got["https://a.example"] == nil || got["https://b.example"] == nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := readSoftwareIssuers(&config.Config{}); got != nil || err != nil {
		t.Errorf("without a file: %v, %v", got, err)
	}
}

// TestEveryMetadataFlagHasItsOwnMember: no two flags write the same thing.
func TestEveryMetadataFlagHasItsOwnMember(t *testing.T) {
	t.Parallel()
	var c oauth2.Client
	seen := map[any]string{}
	claim := func(flag string, at any) {
		if other, taken := seen[at]; taken {
			t.Errorf("--%s and --%s write the same member", flag, other)
		}
		seen[at] = flag
	}
	for _, m := range metadataTexts() {
		claim(m.flag, m.at(&c))
	}
	for _, m := range metadataToggles() {
		claim(m.flag, m.at(&c))
	}
	for _, m := range metadataLists() {
		claim(m.flag, m.at(&c))
	}
}
