package replica

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/link"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// generation is one version of a plugin in memory: code, manifest and
// configuration. It is immutable; a reload makes another.
type generation struct {
	id       string
	files    string // the digest of its files
	entry    plugin.Entry
	limits   config.Runtime
	module   *wasmrt.Module
	services services
	log      *slog.Logger
	// contract is what the plugin was written for.
	contract *schema.Contract
	// methods and callbacks are by name on the bus.
	methods, callbacks map[string]method
	// observer is told of OnInit.
	observer call.Observer
	// places has a token for each callback that the host makes.
	places chan struct{}
}

// source is what a generation is made of: what was on disk, and the
// configuration of that time.
type source struct {
	id     string // of the generation
	entry  plugin.Entry
	config *config.Config
	wasm   []byte
	files  string // the digest of wasm and manifest
	// served says that a generation of this id serves already, retry which failure
	// of its OnInit is to be tried again.
	served bool
	retry  uint64
	// failures is how often OnInit has failed in a row until then; 0 begins anew.
	failures int
	// again says that it is compiled even where that has failed before, and progress how
	// that gets on.
	again    bool
	progress *wasmrt.CompileProgress
}

// readSource reads plugin.wasm; the manifest is that of the entry, and the digest of the
// same bytes. key is that of generationID.
func readSource(key []byte, config *config.Config, entry plugin.Entry) (source, error) {
	s := source{entry: entry, config: config}
	if entry.Err != nil {
		return s, entry.Err
	}
	var err error
	if s.wasm, s.files, err = entry.Read(); err != nil {
		return s, err
	}
	s.id, err = generationID(key, config, entry, s.files)
	return s, err
}

// newGeneration compiles a plugin, which initialise makes ready. The caller closes it.
func (r *Replica) newGeneration(ctx context.Context, s source) (_ *generation, err error) {
	g := &generation{
		id:        s.id,
		files:     s.files,
		entry:     s.entry,
		limits:    s.config.Runtime.For(s.entry.ID),
		log:       r.log.With("plugin", s.entry.ID),
		contract:  link.Contract(s.entry.Manifest),
		methods:   make(map[string]method),
		callbacks: make(map[string]method),
		observer:  r.hosted(s.entry.ID),
	}
	g.places = make(chan struct{}, g.limits.Callbacks())
	g.tabulate()
	if g.services, err = r.grant(s.config, s.entry); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.services.Close())
		}
	}()
	g.module, err = r.runtime.Load(ctx, s.wasm, wasmrt.Options{
		Plugin:    s.entry.ID,
		ABI:       link.ABI(g.contract, s.entry.Manifest.Capabilities),
		Functions: link.Functions(g.services.Functions()),
		Limits:    moduleLimits(g.limits, r.bus.MaxResponse()),
		Logger:    r.outputLog(g),
		Progress:  s.progress,
		Again:     s.again,
	})
	if err != nil {
		return nil, explain(g.contract, err)
	}
	return g, nil
}

// generationID tells apart what behaves differently. Anybody may see it, so without the
// key, a secret of the cluster, nobody can try which settings it is of.
func generationID(key []byte, config *config.Config, entry plugin.Entry, files string) (string, error) {
	settings, err := config.Behaviour(entry.ID, permissionsOf(entry.Manifest))
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	// The token and the digest have no NUL, so that nothing else is hashed alike.
	_, _ = fmt.Fprintf(mac, "pluginhost generation\x00%s\x00%s\x00%s", subjects.Token(entry.ID), files, settings)
	return hex.EncodeToString(mac.Sum(nil))[:16], nil
}

// permissionsOf are those of a manifest; nil is one that cannot be read.
func permissionsOf(manifest *plugin.Manifest) *plugin.Permissions {
	if manifest == nil {
		return nil
	}
	return &manifest.Permissions
}

func moduleLimits(config config.Runtime, maxResult int) wasmrt.Limits {
	limits := wasmrt.Limits{
		Isolation:     wasmrt.Isolation(config.Isolation),
		PoolSize:      config.PoolSize,
		InstanceTTL:   config.InstanceTTL,
		MaxConcurrent: config.MaxConcurrent,
		Queue:         config.Queue,
		MaxMemory:     config.MaxMemory,
		MaxResult:     maxResult,
	}
	if limits.Queue == 0 {
		limits.Queue = -1 // wasmrt takes 0 for its default
	}
	return limits
}

// tabulate fills the tables of methods. OnInit is in none: nobody but the host calls it.
func (g *generation) tabulate() {
	for _, capability := range g.contract.Capabilities() {
		if !g.entry.Manifest.Has(capability.Name) {
			continue
		}
		for _, m := range capability.Methods {
			switch m.Kind {
			case schema.KindCall:
				g.methods[m.Name] = newMethod(m)
			case schema.KindCallback:
				g.callbacks[m.Name] = newMethod(m)
			case schema.KindLifecycle:
			}
		}
	}
}

// method is a method of the guest, which export is.
type method struct {
	export    string
	json      call.Method // without Call
	scrobbles bool        // it is one of Scrobbler
}

func newMethod(m *schema.Method) method {
	return method{export: m.Export, scrobbles: m.Capability == plugin.Scrobbler, json: call.Method{
		RequestFromJSON: m.RequestFromJSON,
		ResponseToJSON: func(response []byte) ([]byte, error) {
			body, err := m.ResponseToJSON(response)
			if errors.Is(err, schema.ErrManyValues) {
				err = subjects.Errorf(subjects.ErrTooLarge, "%w: ask for it in protobuf", err)
			}
			return body, err
		},
	}}
}

// keep calls the guest, and keeps the response: it is the guest's memory until the call is
// over.
func (g *generation) keep(ctx context.Context, export string, request []byte) (kept call.Answer) {
	g.module.Answer(ctx, export, request, func(a wasmrt.Answer) {
		kept = call.Answer(a)
		kept.Response = bytes.Clone(a.Response)
	})
	return kept
}

// initialise has the OnInit of a generation run, where the plugin has it: once in
// the whole cluster. One that has failed is a *bus.InitError.
func (r *Replica) initialise(ctx context.Context, g *generation, s source) (err error) {
	g.services.sockets.begin()
	defer func() { g.services.sockets.settle(err == nil) }()
	if !g.entry.Manifest.Has(plugin.LifecycleManagement) {
		return nil
	}
	_, held, _ := r.initialisedHere(s.entry.ID)
	err = r.heartbeat.Initialise(ctx, cluster.InitConfig{
		ID: s.entry.ID, Generation: g.id, Replica: r.id, Served: s.served, Retry: s.retry, Failures: s.failures,
		Held: held, Hold: func(run string) { r.hold(g, run) }, Forget: r.forgetting(s.entry.ID),
		Run: func(ctx context.Context) error { return g.onInit(ctx, s.config) },
	})
	var failed *cluster.InitError
	if errors.As(err, &failed) && failed.Replica != r.id {
		return fmt.Errorf("%w (on replica %s)", err, failed.Replica)
	}
	return err
}

// onInit calls OnInit.
func (g *generation) onInit(ctx context.Context, config *config.Config) (err error) {
	callback, err := g.contract.Callback(schema.Init{Config: config.PluginConfigFor(g.entry.ID)})
	made, start := call.Observation{Method: callback.Name, Callback: true, Origin: call.OfInit}, time.Now()
	defer func() {
		if made.Took = time.Since(start); made.Err == nil {
			made.Err = err
		}
		g.observer.Observe(made)
	}()
	if err != nil {
		return fmt.Errorf("OnInit: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.limits.InitTimeout)
	defer cancel()
	ctx, lacking := withLacking(ctx)
	deadline, _ := ctx.Deadline()
	answer := g.keep(ctx, callback.Export, callback.Request)
	if err = answer.Err; err != nil {
		made.Err = call.GuestFailure(err)
	}
	made.Waited, made.Ran, made.In, made.Out = answer.Waited, answer.Ran, len(callback.Request), len(answer.Response)
	// What it waits for in vain ends a little before its own time does.
	tookAll := time.Until(deadline) <= wasmrt.Notice(g.limits.InitTimeout)
	var refusal *wasmrt.PluginError
	switch {
	case errors.Is(err, wasmrt.ErrDeadline), err != nil && tookAll:
		return g.tooLong(err)
	case errors.As(err, &refusal):
		return g.refused(err, config, lacking)
	case err != nil:
		return fmt.Errorf("OnInit: %w", err)
	}
	failure, err := callback.Failure(answer.Response)
	switch {
	case err != nil:
		return fmt.Errorf("OnInit: %w", err)
	case failure == "":
		return nil
	case tookAll:
		return g.tooLong(errors.New(failure))
	default:
		return g.refused(errors.New(failure), config, lacking)
	}
}

// tooLong says what to do about an OnInit that has used up its time.
func (g *generation) tooLong(err error) error {
	return fmt.Errorf("OnInit: %w: it took longer than [Runtime] InitTimeout (%v), which can be raised for this plugin", err, g.limits.InitTimeout)
}

// refused says what to do about an error that OnInit returned: see to what it asked the
// host for in vain, or else to its settings.
func (g *generation) refused(err error, settings *config.Config, lacking *lacking) error {
	hint := lacking.first()
	if hint == "" {
		hint = "check the plugin's settings, " + config.Section("PluginConfig", g.entry.ID)
	}
	return fmt.Errorf("OnInit: %w: %s in %s", err, hint, settings.FileName())
}

// close waits for the calls that were accepted, or for ctx.
func (g *generation) close(ctx context.Context) error {
	return errors.Join(g.module.Close(ctx), g.services.Close())
}

// noMemory is what a call is refused with for which there is no memory.
func noMemory(err error) *subjects.Error {
	return subjects.Errorf(subjects.ErrOverloaded, "%w: try again later, or raise [Runtime] HostMemory", err)
}

// failure turns what a call of a guest ended with into what goes over the wire.
func (g *generation) failure(method string, err error) *subjects.Error {
	failure := call.GuestFailure(err)
	switch {
	case errors.Is(err, wasmrt.ErrHostMemory):
		return noMemory(err)
	case errors.Is(failure, subjects.ErrOverloaded):
		return subjects.Errorf(subjects.ErrOverloaded, "%d calls are running and %d waiting: try again later, or raise [Runtime] MaxConcurrent or Queue",
			g.limits.MaxConcurrent, g.limits.Queue)
	case errors.Is(failure, subjects.ErrUnavailable):
		return errUnloading()
	case errors.Is(failure, subjects.ErrTooLarge):
		failure.Text += ": it must fit the NATS server's max_payload"
	case errors.Is(failure, subjects.ErrCrashed):
		g.log.Warn("guest crashed", "method", method, "error", cut(err.Error(), maxErrorText))
	}
	return failure
}

// errUnloading is the failure of a call of a plugin that takes no more.
func errUnloading() *subjects.Error {
	return subjects.Errorf(subjects.ErrUnavailable, "the plugin is being unloaded")
}
