# Two commands are all a newcomer needs: `go run ./cmd/gatekeeper serve` and `make test`.
# `make check` is the gate: what it refuses does not land.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
TOOLS   := $(CURDIR)/.tools
LINT    := $(TOOLS)/golangci-lint
VULN    := $(TOOLS)/govulncheck
STAT    := $(TOOLS)/benchstat
RUNTIME := ./scripts/with-services.sh
RACE    ?= -race
TEST    := $(GO) test $(RACE) -shuffle=on -timeout 40m

.PHONY: help
help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: test
test: ## Every test, with what they need started and stopped (PostgreSQL, Redis, Chromium)
	CI=true $(RUNTIME) $(TEST) ./...

.PHONY: quick
quick: ## The tests that need nothing but Go, without the race detector
	$(GO) test -short -shuffle=on ./...

.PHONY: check
check: fmt vet lint house test vuln tidy ## The gate: everything CI runs

.PHONY: fmt
fmt: $(LINT)
	$(LINT) fmt --diff

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: lint
lint: $(LINT)
	$(LINT) run

.PHONY: house
house: ## The laws of the house: floors, homes, sizes, docs
	$(GO) test ./conformance -run House

.PHONY: vuln
vuln: $(VULN) ## Known vulnerabilities in what we call
	./scripts/vuln.sh $(VULN)

.PHONY: tidy
tidy:
	$(GO) mod tidy -diff
	$(GO) generate ./...
	git diff --exit-code

.PHONY: bench
bench: ## The benchmark suite, ready for benchstat (BENCH=regexp COUNT=n)
	$(RUNTIME) $(GO) test -run "^$$$$" -bench "$(or $(BENCH),.)" -benchmem -count $(or $(COUNT),6) ./cmd/gatekeeper ./keys ./oauth2

.PHONY: drill
drill: drill-overload ## Slow drills: what becomes of a server in bad times

.PHONY: drill-overload
drill-overload:
	$(GO) run ./scripts/overload

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (default 20s) each
	./scripts/fuzz.sh $(or $(FUZZTIME),20s)

.PHONY: golden
golden: ## Rewrite the golden files and the written references from what the program does now
	$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update

.PHONY: build
build: ## A static binary in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/gatekeeper ./cmd/gatekeeper

$(LINT) $(VULN) $(STAT): tools/go.mod
	@mkdir -p $(TOOLS)
	cd tools && GOFLAGS=-mod=mod $(GO) build -o $(TOOLS)/ tool
	@touch $(LINT) $(VULN) $(STAT)
