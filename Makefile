# `make` alone lists the targets. Each is a line or two of shell; what needs more is Go code or a script under .ci.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s

export SOCKEYE_BIN ?= $(CURDIR)/bin/sockeye

# Lists are discovered, never written down. `testing PKG` are the packages whose tests import PKG.
testing = $(shell $(GO) list -f '{{$$p := .ImportPath}}{{range .TestImports}}{{if eq . "$(1)"}}{{$$p}}{{end}}{{end}} {{range .XTestImports}}{{if eq . "$(1)"}}{{$$p}}{{end}}{{end}}' ./...)
# Tests against real services; they need bin/sockeye.
INTEGRATION = $(shell $(GO) list ./test/...)
# Whoever has goroutines checks for leaks with goleak, and whoever has goroutines is tested for races.
RACE = $(filter-out $(INTEGRATION),$(call testing,go.uber.org/goleak))
# The race detector needs cgo.
RACE_DETECTOR = $(if $(shell command -v "$$($(GO) env CC)"),-race,$(warning no C compiler: testing without the race detector))
UNIT = $(filter-out $(RACE) $(INTEGRATION),$(shell $(GO) list ./...))
SOURCES = $(shell git ls-files '*.go' ':!cmd/sockeye/components.go' ':!*/generated_*.go')
GENERATED = cmd/sockeye/components.go alerts/out dashboards/out docs/events.md docs/conformance.md '*generated_*.go' '*/documentation.md' '*/internal/metadata/*'

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

build: components ## bin/sockeye, from the components of builder-config.yaml
	@cmp -s _build/components.go cmd/sockeye/components.go || { echo 'cmd/sockeye/components.go is not what builder-config.yaml says: run `make generate`' >&2; exit 1; }
	$(GO) build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/sockeye ./cmd/sockeye

components:
	@$(GO) tool builder --config builder-config.yaml --skip-get-modules --skip-compilation >_build.log 2>&1 || { cat _build.log >&2; exit 1; }; rm _build.log

generate: components ## write everything that is generated from something else
	cp _build/components.go cmd/sockeye/components.go
	for f in $$(git ls-files '*/metadata.yaml'); do (cd $$(dirname $$f) && $(GO) tool mdatagen metadata.yaml); done
	$(GO) run ./cmd/sockeye generate events > docs/events.md.new && mv docs/events.md.new docs/events.md
	rm -rf dashboards/out && $(GO) run ./cmd/sockeye generate dashboards --out dashboards/out >/dev/null
	for kind in prometheus grafana alertmanager; do $(GO) run ./cmd/sockeye generate alerts --kind $$kind --service chat \
	  --grafana-url https://grafana.example.com --out alerts/out/$$kind.yaml; done
	$(GO) run ./test/conformance/document > docs/conformance.md.new && mv docs/conformance.md.new docs/conformance.md

check-generate: generate ## fail if a generated file is not what `make generate` writes
	@test -z "$$(git status --porcelain -- $(GENERATED))" || { git status --short -- $(GENERATED); git diff -- $(GENERATED) | head -50; echo 'commit what `make generate` wrote' >&2; exit 1; }

fmt: ## format the code
	gofmt -w $(SOURCES)

lint: bin/golangci-lint ## go vet, staticcheck and the rest of .golangci.yml
	bin/golangci-lint run

unit: ## unit tests; with the race detector where there are goroutines
	$(GO) test -timeout 30m $(UNIT)
	$(if $(RACE),$(GO) test -timeout 30m $(RACE_DETECTOR) $(RACE))

test: setup build unit test-integration ## everything CI runs: installs what is missing, then unit and integration tests

test-integration: ## against the real engine, nginx and Alertmanager; needs bin/sockeye
	$(GO) test -count=1 -timeout 15m $(INTEGRATION)

conformance: ## wire against every MUST and SHOULD of its standards, against Autobahn's cases and other libraries, in full
	SOCKEYE_CONFORMANCE=full $(GO) test -count=1 -timeout 60m ./test/conformance

golden: ## rewrite golden files; read the diff
	$(GO) test $(filter-out $(INTEGRATION),$(call testing,$(shell $(GO) list -m)/internal/golden)) -update

fuzz: ## each fuzz target for FUZZTIME=30s
	@git grep -oE '^func Fuzz\w+' -- '*_test.go' | while IFS=: read -r file name; do \
	  echo "$$file $${name#func }"; $(GO) test -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "./$$(dirname $$file)"; done

bench: build libchdb ## events per CPU-second and allocations of every benchmark
	$(GO) test -run '^$$' -bench . -benchmem $$(git grep -lE '^func Benchmark' -- '*_test.go' | xargs -r -n1 dirname | sort -u | sed 's|^|./|')

bench-endpoint: ## the endpoint beside other libraries: messages, handshakes, idle connections, plain and TLS; HELD=100000 holds as many over TLS
	$(GO) test -run '^$$' -bench 'PeersEcho(TLS)?$$' -benchtime 200000x -benchmem ./test/conformance
	$(GO) test -run '^$$' -bench Echo -benchtime 200000x -benchmem ./endpoint/content
	$(GO) build -o bin/connections ./test/connections
	for peer in endpoint gorilla coder gobwas gws; do bin/connections -peer $$peer && bin/connections -peer $$peer -tls || exit; done
	for method in HS256 EdDSA ES256; do for peer in endpoint gorilla coder gobwas gws; do \
		bin/connections -peer $$peer -auth $$method -n 0 || exit; done; done
	bin/connections -n 18500 -lives 0 -drain
	$(if $(HELD),bin/connections -tls -servers 10 -n $$(($(HELD) / 10)) -lives 0)

pii-report: ## how well pii finds what must go, beside contrib's redaction processor, on the labelled corpus
	@cd test/piireport && $(GO) run . -corpus $${SOCKEYE_CORPUS:-$(CURDIR)/../shared/corpus}/pii

bench-store: build libchdb ## the exporter beside contrib's ClickHouse exporter: the same million events, the same engine
	@cd test/storereport && $(GO) run . -sockeye $(CURDIR)/bin/sockeye

bench-schema: libchdb ## sort keys, codecs and indexes of events, and ways to keep connections, on a million events; an hour
	$(GO) test -run '^$$' -bench 'EventsLayout|ConnectionsStored|TierOrder' -benchtime 1x -timeout 3h ./store

bench-slo: libchdb ## one table: a tick of 10 to 10,000 SLOs, and Prometheus evaluating the rules that Sloth writes for as many
	@$(GO) run ./test/sloreport

bench-size: build libchdb ## what is asked of a month of EVENTS=1000000 (1000000,10000000,100000000: beside each other); kept in DIR, made if it is not there
	@$(GO) run ./test/size -events $(or $(EVENTS),1000000) -dir '$(DIR)' $(if $(ONLY),-only '$(ONLY)')

vuln: bin/govulncheck ## known vulnerabilities in what we call
	@.ci/vuln bin/govulncheck ./...

demo: build libchdb ## all of it on this machine, with an incident; KEEP=1 leaves it running
	@bin/sockeye demo $(if $(KEEP),--keep)

screenshots: build libchdb ## docs/status-*.png, of the demo's status page while it pages
	SCREENSHOTS=docs $(GO) test -count=1 -run TestTheStatusPageOfTheDemo ./test/integration

check: fmt lint check-generate unit ## before a commit

setup: libchdb clients ## what tests need besides Go: the engine's library, nginx, Prometheus, Alertmanager, Chromium, ws
	@.ci/packages

libchdb: ## the embedded ClickHouse engine, from npm
	@store/embedded/libchdb/install.sh

clients: test/clients/node_modules/.package-lock.json ## WebSocket clients of others, from npm

test/clients/node_modules/.package-lock.json: test/clients/package-lock.json
	cd test/clients && npm ci

bin/golangci-lint: tools/go.mod
	$(GO) build -C tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/govulncheck: tools/go.mod
	$(GO) build -C tools -o ../$@ golang.org/x/vuln/cmd/govulncheck

bin/benchstat: tools/go.mod
	$(GO) build -C tools -o ../$@ golang.org/x/perf/cmd/benchstat

bin/deadcode: tools/go.mod
	$(GO) build -C tools -o ../$@ golang.org/x/tools/cmd/deadcode

.PHONY: help build components generate check-generate fmt lint unit test test-integration conformance golden fuzz bench bench-endpoint pii-report bench-store bench-schema bench-slo bench-size vuln demo screenshots check setup libchdb clients
