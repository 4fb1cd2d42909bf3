package plugintest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	hostcache "github.com/pluginhost/pluginhost/hostsvc/cache"
	"github.com/pluginhost/pluginhost/hostsvc/subsonicapi"
	"github.com/pluginhost/pluginhost/internal/granted"
	"github.com/pluginhost/pluginhost/internal/link"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// Host runs one plugin for one test. Its methods may be called concurrently, except that
// those without an error fail the test where something is wrong with it, and so belong
// into the goroutine of the test.
type Host struct {
	t        testing.TB
	id       string
	manifest *plugin.Manifest
	contract *schema.Contract
	log      *testLog
	logger   *slog.Logger
	output   output
	runtime  *wasmrt.Runtime
	module   *wasmrt.Module
	methods  map[string]*schema.Method // by name, of the manifest's capabilities
	calls    *call.Server
	services granted.Services

	clock     *clock
	values    *values
	cache     *hostcache.Service
	schedules *schedules
	web       *web
	sockets   *sockets
	navidrome navidromes
	subsonic  atomic.Pointer[subsonicapi.Service]
	// subsonicConfig is what subsonic is made with, besides a Navidrome.
	subsonicConfig subsonicapi.Config
	advancing      sync.Mutex
	callbacks      int // of schedules that one Advance runs at most

	// serving is held by callbacks that the plugin has not asked for, and exclusively by
	// OnInit, which they wait for.
	serving sync.RWMutex

	mu       sync.Mutex
	settings map[string]string
	share    *url.URL // nil is no public address
}

// Load compiles the plugin in a folder, checks it against its manifest and loads it. The
// test fails where a host would not load it. The id of the plugin is the name of the folder.
// OnInit is not called: that is Init. The Host ends with the test.
//
// Nothing is written to the folder. What compiling costs is paid once for a source: code
// is kept below the user's cache folder.
func Load(t testing.TB, dir string) *Host {
	t.Helper()
	h, err := load(t, dir)
	if err != nil {
		t.Fatalf("plugintest: %v", err)
	}
	return h
}

func load(t testing.TB, dir string) (*Host, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	folder := openCache(t)
	compiled, err := folder.compile(t.Context(), dir)
	if err != nil {
		return nil, err
	}
	for _, warning := range compiled.Warnings {
		t.Logf("plugintest: warning: %s", warning)
	}
	h := &Host{
		t: t, id: filepath.Base(dir), manifest: compiled.Manifest, contract: link.Contract(compiled.Manifest), log: &testLog{t: t},
		methods: make(map[string]*schema.Method), clock: newClock(), callbacks: maxCallbacks, settings: make(map[string]string),
	}
	h.tabulate()
	h.calls = call.NewServer(call.Config{Resolve: h.find, Limits: call.Limits{MaxTimeout: max(initTimeout, maxCallTimeout)}})
	h.logger = slog.New(slog.NewTextHandler(h.log, nil))
	h.output.log = h.log
	h.values = &values{clock: h.clock, entries: make(map[string]value)}
	h.cache = hostcache.New(hostcache.Config{PluginID: h.id, Store: h.values, MaxValue: maxValue, Logger: h.logger})
	h.schedules = &schedules{entries: make(map[string]*planned)}
	h.web = &web{sites: make(map[string]*site), log: h.log}
	h.sockets = newSockets(h)
	t.Cleanup(h.close)
	if h.services, err = h.grant(); err != nil {
		return nil, err
	}
	h.runtime, err = wasmrt.New(wasmrt.Config{
		CacheDir: folder.code, CacheSize: maxCode, CompileTimeout: compileTimeout, Logger: h.logger,
	})
	if err != nil {
		return nil, err
	}
	h.module, err = h.runtime.Load(t.Context(), compiled.Wasm, wasmrt.Options{
		ABI:       link.ABI(h.contract, h.manifest.Capabilities),
		Functions: link.Functions(h.services.Functions()),
		Limits:    wasmrt.Limits{MaxConcurrent: maxConcurrent, MaxMemory: maxMemory, MaxResult: maxResponse},
		Logger:    slog.New(&h.output),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the plugin would not load: %w", err), folder.forget(dir))
	}
	return h, nil
}

// tabulate fills the table of methods.
func (h *Host) tabulate() {
	for _, capability := range h.contract.Capabilities() {
		if !h.manifest.Has(capability.Name) {
			continue
		}
		for _, method := range capability.Methods {
			h.methods[method.Name] = method
		}
	}
}

// SetConfig sets an entry of the plugin's configuration, whose key goes in lower case. The
// plugin finds it from the next call on. On a host, other settings make OnInit run again:
// call Init.
func (h *Host) SetConfig(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settings[strings.ToLower(key)] = value
}

// config returns a copy of the configuration.
func (h *Host) config() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.settings)
}

// Output is what the plugin has written to standard output and standard error since it was
// loaded, line by line, as it would be in the log of a host: of more than 500 lines at once,
// and 100 a second, some are missing. It is also in the log of the test.
func (h *Host) Output() string { return h.output.text() }

// close ends all that the Host has begun.
func (h *Host) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), patience)
	defer cancel()
	h.sockets.stop()
	err := h.services.Close()
	if h.module != nil {
		err = errors.Join(err, h.module.Close(ctx))
	}
	if h.runtime != nil {
		err = errors.Join(err, h.runtime.Close(ctx))
	}
	err = errors.Join(err, h.web.close(ctx), h.navidrome.close(ctx))
	if err != nil {
		h.t.Errorf("plugintest: the plugin does not end: %v", err)
	}
	h.log.end()
}

// fail ends the test for what is wrong with it.
func (h *Host) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("plugintest: %s", fmt.Sprintf(format, args...))
}

// settle waits until connections that the plugin has closed, or replaced, have ended.
func (h *Host) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxCallTimeout+patience)
	defer cancel()
	return h.sockets.settle(ctx)
}

// compileTimeout is long, as tests run beside each other and with the race detector.
const compileTimeout = 10 * time.Minute
