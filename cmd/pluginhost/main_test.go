package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

// result is what a command line printed and returned.
type result struct {
	code     int
	out, err string
}

// pluginhost runs a command line in this process.
func pluginhost(ctx context.Context, stdin string, args ...string) result {
	var out, err bytes.Buffer
	code := run(ctx, args, streams{strings.NewReader(stdin), &out, &err})
	return result{code, out.String(), err.String()}
}

// probeFolder is a plugins folder with the probe guest as "probe" and the echo
// guest as "echo".
func probeFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "probe", testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	addEcho(t, folder)
	return folder
}

func addEcho(t *testing.T, folder string) {
	t.Helper()
	testenv.AddPlugin(t, folder, "echo", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
}

// serveProcess runs a replica with an embedded server on a folder.
func serveProcess(t *testing.T, folder string, args ...string) *testenv.Process {
	t.Helper()
	return testenv.StartProcess(t, append([]string{"--plugins", folder, "--data", testenv.DataFolder(t), "--http", ""}, args...)...)
}
