package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

// Options say how to load a module.
type Options struct {
	// Plugin is whose memory is counted together: that of all modules of one name.
	// Defaults to a plugin of the module's own.
	Plugin string
	// ABI is how host and guest call each other. Defaults to a GoPlugin without services.
	ABI ABI
	// Functions are what the guest may import of the host, besides WASI, and nothing else.
	Functions []HostFunction
	// Limits bound the guest.
	Limits Limits
	// Logger receives what the guest writes. Defaults to slog.Default().
	Logger *slog.Logger
	// Progress tells how compiling gets on while Load runs; may be nil.
	Progress *CompileProgress
	// Again has a module compiled, behind all others, of which the Compiler of the
	// Runtime has found before that it takes too much. Otherwise that is
	// ErrFailedBefore.
	Again bool
}

// Stats counts the instances and callers of a module.
type Stats struct {
	Idle    int `json:"idle"`
	Running int `json:"running"`
	Waiting int `json:"waiting"`
}

// Module is one plugin in memory. Its methods may be called concurrently.
type Module struct {
	parent    *Runtime
	runtime   wazero.Runtime
	rewritten *rewrite.Module
	compiled  wazero.CompiledModule
	abi       ABI
	limits    Limits
	// reason says why the isolation is not the one that was asked for.
	reason  string
	output  *output
	account *account
	// source is how long the module is, code what was charged for it and for its machine
	// code, in bytes.
	source, code int64
	// dropCode lets the cache folder do without the module's code.
	dropCode func()
	isolator isolator
	clock    clock
	// processors are those of the parent.
	processors *processors
	image      *image // nil unless the isolation is clean
	pool       *pool
	// replacing bounds how often a crashed instance is replaced before a call
	// needs it.
	replacing *rate.Limiter

	// stopping is over when guests must stop, by stop.
	stopping context.Context
	stop     context.CancelFunc
	swept    sync.WaitGroup
	released sync.Once
}

// Load compiles wasm, checks what it imports and exports, and makes a first
// instance, which is kept. What is wrong with the module is a *LoadError. The
// caller closes the module.
func (r *Runtime) Load(ctx context.Context, wasm []byte, options Options) (*Module, error) {
	if options.Logger == nil {
		options.Logger = r.config.Logger
	}
	if options.ABI == nil {
		options.ABI = GoPlugin{}
	}
	m := &Module{
		parent:   r,
		abi:      options.ABI,
		limits:   options.Limits.withDefaults(),
		output:   newOutput(options.Logger),
		account:  r.budget.open(options.Plugin),
		isolator: r.isolator,
		clock:    r.clock,

		processors: r.processors,

		replacing: rate.NewLimiter(replacements, replacementBurst),
	}
	m.stopping, m.stop = context.WithCancel(context.Background())
	m.pool = newPool(m.limits, m.account, m.newInstance)
	m.runtime = newEngine(ctx, r.cache, m.limits)
	err := r.prepare(ctx, m, wasm, options)
	if err == nil {
		err = m.tryOut(ctx, r.config.CompileTimeout)
	}
	if err != nil {
		m.stop()
		return nil, errors.Join(err, m.release(context.WithoutCancel(ctx)))
	}
	r.add(m)
	m.sweep()
	return m, nil
}

// prepare compiles a module and checks what it imports and exports.
func (r *Runtime) prepare(ctx context.Context, m *Module, wasm []byte, options Options) (err error) {
	if m.rewritten, err = parse(wasm, m.limits); err != nil {
		return err
	}
	m.limits.Isolation, m.reason = isolationOf(m.rewritten, m.limits)
	if err := instantiateWASI(ctx, m.runtime); err != nil {
		return fmt.Errorf("wasi: %w", err)
	}
	if err := instantiateGiveWay(ctx, m.runtime); err != nil {
		return fmt.Errorf("%s: %w", rewrite.ImportModule, err)
	}
	if err := m.abi.instantiate(ctx, m.runtime, options.Functions); err != nil {
		return err
	}
	m.source = int64(len(m.rewritten.Wasm))
	if m.compiled, m.dropCode, err = r.compile(ctx, m.runtime, m.rewritten.Wasm, m.limits, options); err != nil {
		return err
	}
	m.rewritten.Wasm = nil
	if err := m.checkImports(options.Functions); err != nil {
		return err
	}
	return m.abi.check(m.compiled)
}

// tryOut initialises a first instance and has the ABI ask it what only a running guest tells.
func (m *Module) tryOut(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if m.limits.Isolation == IsolationClean {
		if err := m.takeImage(ctx); err != nil {
			return initialiseError(err, timeout)
		}
	}
	var refused error
	_, err := m.pool.with(ctx, 0, func(inst *instance, _ time.Duration, _ time.Time) *instance {
		if refused = m.chargeCode(inst); refused != nil {
			return nil
		}
		if refused = inst.verify(ctx); refused != nil || !m.settled(ctx, inst) {
			return nil
		}
		return inst
	})
	if err != nil {
		return initialiseError(err, timeout)
	}
	return refused
}

func initialiseError(err error, timeout time.Duration) error {
	hint := ""
	if errors.Is(err, ErrDeadline) {
		hint = fmt.Sprintf("it took longer than [Runtime] CompileTimeout (%v)", timeout)
	}
	return &LoadError{fmt.Errorf("the module does not initialise: %w", err), hint}
}

// sweep closes idle instances that have outlived their TTL, until the module is
// closed.
func (m *Module) sweep() {
	m.swept.Go(func() {
		ticker := time.NewTicker(max(m.limits.InstanceTTL/3, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				m.pool.expire(m.stopping)
			case <-m.stopping.Done():
				return
			}
		}
	})
}

// Answer is what a call of a guest ends with.
type Answer struct {
	// Response is the bytes of the response, valid until reply returns.
	Response []byte
	// Err is why there is none; nil is that there is.
	Err error
	// Waited is how long the call waited for a place among those that may run, Ran how long
	// it then had one; 0 is a call of which nothing ran.
	Waited, Ran time.Duration
}

// Answer runs one method of a guest with the bytes of a request and hands what it ends with
// to reply, exactly once. What the call has left behind is put right only after reply has
// returned, so that nobody waits for it. The deadline of ctx bounds the call, waiting
// included. Errors are ErrOverloaded, ErrHostMemory, ErrClosed and
// ErrDeadlineInQueue and that of WithBegin, after which nothing ran, and ErrDeadline, *PluginError,
// *CrashError, *HostError and *ResultSizeError.
func (m *Module) Answer(ctx context.Context, method string, request []byte, reply func(Answer)) {
	waited, err := m.pool.with(ctx, len(request), func(inst *instance, waited time.Duration, since time.Time) *instance {
		if err := mayBegin(ctx); err != nil {
			reply(Answer{Err: err, Waited: waited})
			return inst
		}
		response, err := inst.serve(ctx, method, request)
		reply(Answer{Response: response, Err: err, Waited: waited, Ran: m.pool.now().Sub(since)})
		var plugin *PluginError
		var size *ResultSizeError
		switch {
		case errors.Is(err, ErrClosed):
			return inst // untouched
		case err == nil, errors.As(err, &plugin), errors.As(err, &size):
			return m.next(ctx, inst)
		default:
			return m.replacement(ctx, inst)
		}
	})
	if err != nil {
		reply(Answer{Err: err, Waited: waited})
	}
}

// Call is Answer for callers that keep the response.
func (m *Module) Call(ctx context.Context, method string, request []byte) (response []byte, err error) {
	m.Answer(ctx, method, request, func(a Answer) { response, err = slices.Clone(a.Response), a.Err })
	return response, err
}

// next returns the instance for the next call after inst has served one.
func (m *Module) next(ctx context.Context, inst *instance) *instance {
	if m.settled(ctx, inst) {
		return inst
	}
	return m.replacement(ctx, inst)
}

// settled makes an instance ready for another call, or reports that it cannot.
func (m *Module) settled(ctx context.Context, inst *instance) bool {
	switch m.limits.Isolation {
	case IsolationClean:
		return inst.restore() == nil
	case IsolationReuse:
		return ctx.Err() == nil && inst.settle(ctx) && int64(inst.memory.Size()) <= m.limits.MaxMemory/2
	default:
		return false
	}
}

// Bounds on replacing instances ahead of the calls that need them.
const (
	replacements     = rate.Limit(2) // a second
	replacementBurst = 8
)

// replacement closes an instance and returns a new one in its place, or nil: a
// plugin that crashes at every call is left to those who call it.
func (m *Module) replacement(ctx context.Context, gone *instance) *instance {
	ctx = context.WithoutCancel(ctx)
	gone.close(ctx)
	if m.image == nil || !m.replacing.Allow() {
		return nil
	}
	inst, err := m.begin(ctx, beginning{image: m.image, clock: m.clock, output: m.output, spare: true})
	if err != nil {
		return nil // the next call will tell
	}
	return inst
}

// Isolation returns how calls are kept apart and, where that is not what was
// asked for, why.
func (m *Module) Isolation() (isolation Isolation, reason string) {
	return m.limits.Isolation, m.reason
}

// Stats returns how many instances and callers there are now.
func (m *Module) Stats() Stats { return m.pool.stats() }

// Close refuses new calls with ErrClosed, waits for those that were accepted and
// releases everything. When ctx is over it stops the guests that still run.
func (m *Module) Close(ctx context.Context) error {
	err := m.pool.close(ctx)
	if err != nil {
		err = fmt.Errorf("guests were stopped: %w", err)
		m.stop()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if m.pool.close(grace) != nil {
			// What they use must stay.
			return errors.Join(err, errNotStopped)
		}
	}
	m.stop()
	m.swept.Wait()
	m.parent.remove(m)
	m.released.Do(func() { err = errors.Join(err, m.release(context.WithoutCancel(ctx))) })
	return err
}

// stopGrace is how long guests may take to stop that were told to; functions of
// the host that do not look at their context take longer.
const stopGrace = 5 * time.Second

var (
	errStopped    = errors.New("the guest was stopped because its module is closed")
	errNotStopped = errors.New("functions of the host did not return: the module is left in memory")
)

// release frees instances and machine code; the shared cache would keep the
// code.
func (m *Module) release(ctx context.Context) error {
	err := m.runtime.Close(ctx)
	if m.compiled != nil {
		err = errors.Join(err, m.compiled.Close(ctx))
	}
	if m.image != nil {
		err = errors.Join(err, m.image.close())
	}
	if m.dropCode != nil {
		m.dropCode()
	}
	m.account.unload(m.code)
	m.account.close()
	return err
}
