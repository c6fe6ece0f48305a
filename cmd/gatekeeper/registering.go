package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"

	"github.com/gatekeeper-oidc/gatekeeper/internal/config"
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
	text, err := os.ReadFile(filepath.Clean(cfg.RegistrationSoftwareIssuers))
	if err != nil {
		return nil, err
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s is neither YAML nor JSON: %w", cfg.RegistrationSoftwareIssuers, err)
	}
	if len(file) == 0 {
		return nil, fmt.Errorf("%s names no issuer", cfg.RegistrationSoftwareIssuers)
	}
	issuers := map[string]json.RawMessage{}
	for issuer, set := range file {
		jwks, err := json.Marshal(set)
		if err == nil {
			err = keys.CheckJWKS(jwks)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: the JWK Set of %s: %w", cfg.RegistrationSoftwareIssuers, issuer, err)
		}
		issuers[issuer] = jwks
	}
	return issuers, nil
}
