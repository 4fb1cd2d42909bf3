package extismhost

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
)

// callTimeout is how long Navidrome lets a call run.
const callTimeout = 30 * time.Second

// Options are what a plugin is loaded with beside its package.
type Options struct {
	// Config is the plugin's configuration.
	Config map[string]string
	// Timeout is how long a call may take, its initialisation included, in whole milliseconds: 30 s if it is 0.
	Timeout time.Duration
	// Log gets what the plugin logs, from any goroutine. Nil: nobody does.
	Log func(level extism.LogLevel, text string)
	// Send answers http_send in the place of the world, with the bytes that the plugin gets, from any goroutine. Nil: requests are
	// sent.
	Send func(request []byte) (answer []byte)
	// Cache has what was compiled, so that the same module is compiled once. Nil: nothing is kept. The caller closes it after
	// the plugins.
	Cache wazero.CompilationCache
}

// Plugin is a loaded plugin. Any number of calls may run at once.
type Plugin struct {
	compiled     *extism.CompiledPlugin
	client       *http.Transport
	capabilities []string
	log          func(extism.LogLevel, string)
}

// Load compiles a plugin, checks it as Navidrome does when it is enabled, and calls nd_on_init if the plugin has it, whose
// failure is only logged. ErrManifest if its manifest is not valid. The caller closes the plugin.
func Load(ctx context.Context, of Package, options Options) (_ *Plugin, err error) {
	m, err := readManifest(of.Manifest)
	if err != nil {
		return nil, err
	}
	p := &Plugin{client: http.DefaultTransport.(*http.Transport).Clone(), log: options.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close(context.WithoutCancel(ctx)))
		}
	}()
	// The SDK has one level for all plugins of the process: that of a Navidrome with default settings.
	extism.SetLogLevel(extism.LogLevelInfo)
	module := extism.Manifest{
		Wasm: []extism.Wasm{extism.WasmData{Data: of.Wasm}}, Config: options.Config,
		Timeout: uint64(cmp.Or(options.Timeout, callTimeout) / time.Millisecond),
	}
	functions := []extism.HostFunction{configGet(options.Config)}
	if permission := m.Permissions.HTTP; permission != nil {
		module.AllowedHosts = permission.RequiredHosts
		send := (&sender{hosts: permission.RequiredHosts, transport: p.client}).function()
		if options.Send != nil {
			send = instead(httpSend, options.Send)
		}
		functions = append(functions, send)
	}
	runtime := wazero.NewRuntimeConfig()
	if options.Cache != nil {
		runtime = runtime.WithCompilationCache(options.Cache)
	}
	config := extism.PluginConfig{EnableWasi: true, EnableHttpResponseHeaders: true, RuntimeConfig: runtime}
	if p.compiled, err = extism.NewCompiledPlugin(ctx, module, config, functions); err != nil {
		return nil, fmt.Errorf("compiling plugin: %w", err)
	}
	instance, err := p.instance(ctx)
	if err != nil {
		return nil, err
	}
	p.capabilities = detect(instance)
	if err := errors.Join(m.check(p.capabilities), instance.Close(ctx)); err != nil {
		return nil, err
	}
	if err := p.Call(ctx, onInit, nil, nil); err != nil && !errors.Is(err, ErrNoFunction) {
		p.say(extism.LogLevelError, onInit+": "+err.Error())
	}
	return p, nil
}

// Capabilities are those that the plugin's exports make, sorted by name.
func (p *Plugin) Capabilities() []string { return p.capabilities }

// Close ends the plugin, and the calls that run.
func (p *Plugin) Close(ctx context.Context) error {
	p.client.CloseIdleConnections()
	if p.compiled == nil {
		return nil
	}
	if err := p.compiled.Close(ctx); err != nil {
		return fmt.Errorf("close the plugin: %w", err)
	}
	return nil
}

// instance makes one for a call: with the time of day, random bytes, and a clock that the guest moves by reading it.
func (p *Plugin) instance(ctx context.Context) (*extism.Plugin, error) {
	module := wazero.NewModuleConfig().WithSysWalltime().WithRandSource(rand.Reader)
	instance, err := p.compiled.Instance(ctx, extism.PluginInstanceConfig{ModuleConfig: module})
	if err != nil {
		return nil, fmt.Errorf("creating instance: %w", err)
	}
	instance.SetLogger(p.say)
	return instance, nil
}

func (p *Plugin) say(level extism.LogLevel, text string) {
	if p.log != nil {
		p.log(level, text)
	}
}
