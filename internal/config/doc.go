// Package config reads what an operator wants and refuses what cannot be meant.
//
// One struct, [Config], is filled from five sources, and its tags are the only
// list of keys: the loader, the flags, `config print` and the JSON Schema all
// read them.
//
//	flags  >  environment  >  .env file  >  YAML file  >  defaults
//	--data-dir  GATEKEEPER_DATA_DIR     data_dir: …
//	     │           │            │          │
//	     └───────────┴── texts by key, each with its source ──► parse ──► Check ──► Config
//
// Rules: a key or GATEKEEPER_ name that does not exist is an error with the nearest
// that does, for a misspelt setting must not silently weaken anything; every error
// is one sentence with key, source, line and column; a secret may be given by a
// file (SECRET_FILE), never on the command line; a file with a secret that other
// users can read is refused; an empty environment variable is one not set.
//
// The world comes in as functions ([Input]), so loading is a pure function of it.
// Only [RootSecret] touches the disk: it makes the root secret of the embedded
// database on the first start and never again.
package config
