package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/pluginhost/pluginhost/internal/link"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// The packages of the guests that are compiled from Go.
const (
	guestNoop     = "github.com/pluginhost/pluginhost/bench/noop"
	guestWork     = "github.com/pluginhost/pluginhost/bench/work"
	guestStateful = "github.com/pluginhost/pluginhost/bench/stateful"
	guestExtism   = "github.com/pluginhost/pluginhost/bench/extism"
	// guestAgent is an example of the repository: a metadata agent of 5 MB.
	guestAgent = "github.com/pluginhost/pluginhost/examples/wikipedia"
)

// The capability and the method that everything here calls.
const (
	capability = "MetadataAgent"
	export     = "metadata_agent_get_artist_biography"
)

// guest compiles the Go package of a guest, once.
func (b *bench) guest(ctx context.Context, pkg string) ([]byte, error) {
	if wasm, ok := b.guests[pkg]; ok {
		return wasm, nil
	}
	file := b.guestFile(pkg)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s (run this in the folder bench): %w\n%s", pkg, err, output)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", pkg, err)
	}
	b.guests[pkg] = wasm
	return wasm, nil
}

// guestFile is where a guest is that was compiled.
func (b *bench) guestFile(pkg string) string { return filepath.Join(b.dir, path.Base(pkg)+".wasm") }

// handmade is a guest without a language runtime whose methods are body. Nil
// returns an empty message.
func handmade(body []byte) []byte { return guests.Handmade{Body: body}.Bytes() }

// moduleOptions load a guest without a replica.
func moduleOptions(limits wasmrt.Limits) wasmrt.Options {
	return wasmrt.Options{ABI: link.ABI(schema.Navidrome058(), []string{capability}), Limits: limits}
}
