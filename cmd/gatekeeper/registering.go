package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
	"github.com/gatekeeper-oidc/gatekeeper/internal/strictjson"
	"github.com/gatekeeper-oidc/gatekeeper/internal/yamlfile"
	"github.com/gatekeeper-oidc/gatekeeper/keys"
	"github.com/gatekeeper-oidc/gatekeeper/oidc"
)

// wireRegistration makes what lets applications register themselves.
func (p *program) wireRegistration() error {
	cfg := p.cfg
	software, err := readSoftwareIssuers(cfg)
	if err != nil {
		return badConfig(fmt.Errorf("registration_software_issuers: %w", err))
	}
	p.registrar, err = oidc.NewRegistrar(oidc.RegistrarConfig{
		Issuer: cfg.Issuer, Mode: oidc.RegistrationMode(cfg.Registration), Engine: p.oauth, Store: p.DB, Trail: p.trail, Limits: p.limits,
		Meter: p.meter, Now: p.now, Scopes: cfg.RegistrationScopes, InsecureNoPKCE: cfg.RegistrationInsecureNoPKCE, Software: software,
		Unused: cfg.RegistrationUnused, Used: p.usage.Note,
	})
	return err
}

// readSoftwareIssuers reads the file that says whose software statements are
// believed: in YAML or JSON, each issuer with its JWK Set.
func readSoftwareIssuers(cfg *config.Config) (map[string]json.RawMessage, error) {
	if cfg.RegistrationSoftwareIssuers == "" {
		return nil, nil
	}
	f, err := os.Open(filepath.Clean(cfg.RegistrationSoftwareIssuers))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := readAll(cfg.RegistrationSoftwareIssuers, f, yamlfile.MaxBytes)
	if err != nil {
		return nil, err
	}
	docs, err := yamlfile.Read(text)
	if err != nil {
		return nil, fmt.Errorf("%s is neither YAML nor JSON: %w", cfg.RegistrationSoftwareIssuers, err)
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("%s names no issuer, or holds several documents", cfg.RegistrationSoftwareIssuers)
	}
	var file map[string]json.RawMessage
	if err := strictjson.Decode(docs[0].JSON, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.RegistrationSoftwareIssuers, err)
	}
	if len(file) == 0 {
		return nil, fmt.Errorf("%s names no issuer", cfg.RegistrationSoftwareIssuers)
	}
	issuers := map[string]json.RawMessage{}
	for issuer, jwks := range file {
		if err := keys.CheckJWKS(jwks); err != nil {
			return nil, fmt.Errorf("%s: the JWK Set of %s: %w", cfg.RegistrationSoftwareIssuers, issuer, err)
		}
		issuers[issuer] = jwks
	}
	return issuers, nil
}
