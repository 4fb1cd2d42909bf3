# make run    try it: the example plugins on a replica with a NATS server of its own
# make bridges   packages for a stock Navidrome, which ask this program: dist/bridge-*.ndp
# make test   the tests, with the race detector where goroutines share memory; make test-all has the long proofs as well
GO ?= go
# The root is built in the workspace of go.work. The other modules are built alone: subjects and sdk, which other programs
# import, with the oldest versions that they take; bridges, bench and tools would raise versions of the program.
ROOT = github.com/pluginhost/pluginhost
ALONE = GOWORK=off
TOOL = $(ALONE) $(GO) tool -modfile=$(CURDIR)/tools/go.mod
LINTER = $$($(TOOL) -n golangci-lint)
# Those in Go: examples/lastfm is built with npm, see its README.
EXAMPLES = $(notdir $(patsubst %/main.go,%,$(wildcard examples/*/main.go)))

.PHONY: run examples build test test-all lint generate tidy bench profile soak chaos clean

run: examples
	@echo
	@echo "In another shell, once a line says msg=ready:"
	@echo
	@echo "  bin/pluginhost call minimal get_artist_url '{\"mbid\":\"5b11f4ce-a62d-471e-81fc-a69a8278c7da\"}'"
	@echo "  bin/pluginhost call wikipedia get_artist_biography '{\"name\":\"Nina Simone\"}'   # asks Wikipedia"
	@echo "  bin/pluginhost plugin list"
	@echo "  bin/pluginhost status"
	@echo "  bin/pluginhost token create --user joe --scope scrobble   # for a Navidrome that scrobbles to http://127.0.0.1:8060/1/"
	@echo "  bin/pluginhost token create --scope call,scrobble         # for a Navidrome with a bridge of 'make bridges': docs/navidrome.md"
	@echo
	bin/pluginhost serve --plugins dist/plugins --data dist/data --listenbrainz 127.0.0.1:8060

build:
	$(GO) build -o bin/pluginhost ./cmd/pluginhost

# Each as its author would, and under the name of its folder.
.PHONY: $(EXAMPLES:%=example-%)
examples: $(EXAMPLES:%=example-%)
$(EXAMPLES:%=example-%): example-%: build
	@mkdir -p dist/plugins
	bin/pluginhost plugin build examples/$* --output dist/$*.ndp
	@verb=install; if [ -e dist/plugins/$* ]; then verb=update; fi; \
	bin/pluginhost plugin $$verb dist/$*.ndp --as $* --plugins dist/plugins --yes >/dev/null

# Plugins for a stock Navidrome, see bridges/README.md.
.PHONY: bridges bridge-058 bridge-060
bridges: bridge-058 bridge-060
bridge-058: build
	@mkdir -p dist
	bin/pluginhost plugin build bridges/bridge-058 --output dist/bridge-058.ndp

bridge-060:
	@command -v npm >/dev/null || { echo "bridge-060 is built with npm, which is not here: install Node.js 20 or later, or make bridge-058 alone"; exit 1; }
	cd bridges/bridge-060 && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build
	cd bridges && $(ALONE) $(GO) run ./bridge-060/pack bridge-060 $(CURDIR)/dist

SPACE = $(EMPTY) $(EMPTY)
# They start processes and wait for them: what the race detector could see there is in the packages below.
PROCESSES = cmd/pluginhost deploy docs examples(/.*)? internal/author internal/modules internal/notices(/.*)? testenv/chaos(/.*)? testenv/wire
SHARING = $$($(GO) list ./... | grep -vE '^$(ROOT)/($(subst $(SPACE),|,$(PROCESSES)))$$')
DRIVING = $$($(GO) list ./... | grep -E '^$(ROOT)/($(subst $(SPACE),|,$(PROCESSES)))$$')

# Each in one goroutine, and without generic code that others share: the race detector has nothing to see there, and
# would take half of the time of all tests for reading the same guests again and again.
UNSHARED = github.com/tetratelabs/wazero/internal/wasm/binary github.com/tetratelabs/wazero/internal/leb128 \
	$(ROOT)/wasmrt/internal/rewrite
RACE = -race -pgo=off $(UNSHARED:%=-gcflags=%=-race=false)
# They wait more than they compute. Those that take longest come first.
BESIDE = -parallel 6
LONGEST = ./replica ./plugintest

# Long proofs that have a short form leave it to that with -short.
SHORT = -short
test-all: SHORT =
test test-all:
	@command -v node >/dev/null && command -v npm >/dev/null || echo "node or npm is missing: the tests of a client and of a plugin that are not Go are skipped"
	cd subjects && $(ALONE) $(GO) test -race -pgo=off ./...
	cd sdk && $(ALONE) $(GO) test -race -pgo=off ./...
	$(GO) test $(SHORT) $(RACE) $(BESIDE) -timeout 30m $(LONGEST) $(SHARING)
	$(GO) test $(SHORT) -pgo=off -p 3 -timeout 30m ./testenv/chaos $(DRIVING)
	cd bridges && $(ALONE) $(GO) test $(SHORT) -timeout 30m ./...
	cd bench && $(ALONE) $(GO) test -short ./...

lint:
	$(LINTER) run ./...
	cd subjects && $(ALONE) $(LINTER) run --config ../.golangci.yml ./...
	cd sdk && $(ALONE) $(LINTER) run --config ../.golangci.yml ./...
	cd bridges && $(ALONE) $(LINTER) run --config ../.golangci.yml ./...
	cd bench && $(ALONE) $(LINTER) run --config ../.golangci.yml ./...

generate:
	cd sdk && $(ALONE) $(GO) generate ./api
	$(GO) generate .

# The root takes the others from the tree while it is tidied: a proxy has them once they are released.
tidy:
	cd subjects && $(ALONE) $(GO) mod tidy
	cd sdk && $(ALONE) $(GO) mod tidy
	$(GO) mod edit -replace=$(ROOT)/subjects=./subjects -replace=$(ROOT)/sdk=./sdk
	$(ALONE) $(GO) mod tidy; code=$$?; $(GO) mod edit -dropreplace=$(ROOT)/subjects -dropreplace=$(ROOT)/sdk; exit $$code
	cd bridges && $(ALONE) $(GO) mod tidy
	cd bench && $(ALONE) $(GO) mod tidy
	cd tools && $(ALONE) $(GO) mod tidy

# Ratios within one run; see bench/README.md.
bench:
	cd bench && $(ALONE) $(GO) run .

# What the compiler of Go is told of the hot paths: compiling a plugin, and calls to one.
profile:
	cd bench && $(ALONE) $(GO) run . -quick -pgo ../cmd/pluginhost/default.pgo

# The long proofs, in about five minutes: make soak SOAK='-only calls -calls 100000'. Ctrl-C ends it with a report.
soak:
	$(GO) run ./testenv/soak $(SOAK)

# What survives kills and pauses, 500 times the leader's, in about an hour: make chaos CHAOS='-leaders 50 -seed 1'; and
# that no play which was accepted is lost, of 100,000 in a quarter of an hour: make chaos-plays PLAYS='-plays 10000'.
# Ctrl-C ends them with a report.
.PHONY: chaos-plays
chaos: chaos-plays
	$(GO) run ./testenv/chaos $(CHAOS)

chaos-plays:
	$(GO) run ./testenv/chaos/plays $(PLAYS)

clean:
	rm -rf bin dist
