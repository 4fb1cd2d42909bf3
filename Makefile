# make run    try it: the example plugins on a replica with a NATS server of its own
# make test   all tests, with the race detector
GO ?= go
TOOL = $(GO) tool -modfile=$(CURDIR)/tools/go.mod
# Those in Go: examples/lastfm is built with npm, see its README.
EXAMPLES = $(notdir $(patsubst %/main.go,%,$(wildcard examples/*/main.go)))

.PHONY: run examples build test lint generate bench profile soak chaos clean

run: examples
	@echo
	@echo "In another shell, once a line says msg=ready:"
	@echo
	@echo "  bin/pluginhost call minimal get_artist_url '{\"mbid\":\"5b11f4ce-a62d-471e-81fc-a69a8278c7da\"}'"
	@echo "  bin/pluginhost call wikipedia get_artist_biography '{\"name\":\"Nina Simone\"}'   # asks Wikipedia"
	@echo "  bin/pluginhost plugin list"
	@echo "  bin/pluginhost status"
	@echo
	bin/pluginhost serve --plugins dist/plugins --data dist/data

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

test:
	@command -v node >/dev/null && command -v npm >/dev/null || echo "node or npm is missing: the tests of a client and of a plugin that are not Go are skipped"
	$(GO) test -race -pgo=off -timeout 30m ./...

lint:
	$(TOOL) golangci-lint run ./...
	cd bench && $(TOOL) golangci-lint run --config ../.golangci.yml ./...

generate:
	$(GO) generate ./sdk/api .

# Ratios within one run; see bench/README.md.
bench:
	cd bench && $(GO) run .

# What the compiler of Go is told of the hot paths: compiling a plugin, and calls to one.
profile:
	cd bench && $(GO) run . -quick -pgo ../cmd/pluginhost/default.pgo

# The long proofs, in about five minutes: make soak SOAK='-only calls -calls 100000'. Ctrl-C ends it with a report.
soak:
	$(GO) run ./testenv/soak $(SOAK)

# What survives kills and pauses, 500 times the leader's, in about an hour: make chaos CHAOS='-leaders 50 -seed 1'.
# Ctrl-C ends it with a report.
chaos:
	$(GO) run ./testenv/chaos $(CHAOS)

clean:
	rm -rf bin dist
