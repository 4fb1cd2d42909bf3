package replica

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nuid"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/gateway"
	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// ErrDataInUse says that another process works in the data folder.
var ErrDataInUse = errors.New("the data folder is in use by another replica: give each replica a --data of its own")

var errPluginsOff = errors.New("plugins are off: [Plugins] Enabled is false")

// Replica is a running host.
type Replica struct {
	// config is never changed in place; Reconfigure puts another there.
	config atomic.Pointer[config.Config]
	log    *slog.Logger
	id     string
	begun  time.Time

	started []part // of parts, in their order

	lock        *flock.Flock
	bus         *bus.Bus
	runtime     *wasmrt.Runtime
	turns       *call.Turns // of the plugins, in converting JSON
	heartbeat   *cluster.Heartbeat
	inits       *cluster.Inits
	leadership  *leadership
	planner     *schedule.Planner
	schedules   *schedule.Schedules // the planner's
	scrobbles   *scrobbles
	sockets     *sockets
	pluginParts []pluginPart // of what plugins have
	removals    *removals
	leavings    *leavings
	packages    *packages
	folder      *pluginsFolder
	cache       *kvcache.Cache
	generations *cluster.Secret // the key by which they are told apart
	artwork     *artworkProxy   // nil where Navidrome makes the addresses of images
	tokens      *tokenstore.Followed
	playDoor    *playDoor // nil where it is off
	control     *bus.Control
	discovery   *bus.Discovery
	http        *listener
	doors       *doors           // nil where there is none
	gateway     *gateway.Gateway // nil where it is off

	mu sync.Mutex
	// plugins are never removed: a refresh may be waiting for one that is gone.
	plugins map[string]*hosted

	// running ends when the replica drains, with errLeaving; reloads have it.
	running    context.Context
	stop       context.CancelCauseFunc
	background *background
	watcher    atomic.Pointer[watch.Watcher] // nil where nothing is watched

	compiler wasmrt.Compiler // nil compiles in this process

	// For tests: how often the plugins folder is looked at, a function that runs before each look, and how long a plugin
	// may be away, in nanoseconds; 0 is removalGrace.
	pace   watch.Pace
	onLook func()
	away   atomic.Int64

	reconfiguring sync.Mutex
	longest       atomic.Int64 // what LongestTimeout returns
	refused       refusedConfig

	// isOpen says that the bus is there.
	isOpen, ready, draining atomic.Bool
	asked                   chan struct{} // closed when a control request asks to leave
	askOnce                 sync.Once
	drainOnce               sync.Once
	drained                 error // what drain returned
}

// Option is something that a replica is started with besides its configuration.
type Option func(*Replica)

// WithCompiler has plugins compiled by a compiler, in processes of their own. Without one they are compiled in this
// process, which no bound on time or memory then protects from them. The caller closes the compiler after Drain.
func WithCompiler(compiler wasmrt.Compiler) Option {
	return func(r *Replica) { r.compiler = compiler }
}

// Start opens the bus, loads every plugin and serves those that load. It
// returns when each is serving or has failed. A configuration that is not valid
// is a *config.InvalidError, a data folder in use ErrDataInUse, a server without
// JetStream bus.ErrNoJetStream. The caller ends the Replica with Drain.
func Start(ctx context.Context, config config.Config, log *slog.Logger, options ...Option) (_ *Replica, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	r := &Replica{
		id:         identity(config.Name),
		begun:      time.Now().UTC(),
		turns:      call.NewTurns(),
		plugins:    make(map[string]*hosted),
		asked:      make(chan struct{}),
		background: newBackground(),
	}
	for _, option := range options {
		option(r)
	}
	r.log = r.newAuthorLog(log)
	r.folder = newPluginsFolder(config.Plugins.Folder, r.log)
	r.config.Store(&config)
	r.longest.Store(int64(config.Runtime.LongestTimeout()))
	r.running, r.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Drain(context.WithoutCancel(ctx)))
		}
	}()
	if err := r.startParts(ctx, &config); err != nil {
		return nil, err
	}
	if err := r.loadAll(ctx, &config); err != nil {
		return nil, err
	}
	if config.Plugins.Enabled {
		r.packages.start(ctx)
	}
	r.scrobbles.route(ctx)
	if err := r.doors.refresh(ctx); err != nil {
		r.log.Warn("the gateway learns of plugins in a moment only", "error", err)
	}
	r.ready.Store(true)
	r.startWatch()
	r.beat(ctx)
	r.compileAgain()
	return r, nil
}

// identity is the name and a part that no other process has.
func identity(name string) string { return name + "-" + strings.ToLower(nuid.Next()[14:]) }

// LongestTimeout is how long a call can take that was accepted since the start,
// under any configuration that has applied: what Drain may need.
func (r *Replica) LongestTimeout() time.Duration { return time.Duration(r.longest.Load()) }

// Config is the configuration that applies now. It is not to be changed.
func (r *Replica) Config() config.Config { return *r.config.Load() }

// ID is the replica's identity: its name and a random part.
func (r *Replica) ID() string { return r.id }

// URL is where clients reach its NATS server.
func (r *Replica) URL() string { return r.bus.URL() }

// HTTPAddress is where health is told, and the gateway answers: host:port, or empty where that is off.
func (r *Replica) HTTPAddress() string { return r.http.address() }

// ArtworkAddress is where artwork is served to the public: host:port, or empty
// where that is off.
func (r *Replica) ArtworkAddress() string { return r.artwork.address() }

// ListenBrainzAddress is where plays are taken as ListenBrainz does: host:port, or empty where that is off.
func (r *Replica) ListenBrainzAddress() string { return r.playDoor.address() }

// Lost gets one error once the replica is of no use any more, as its NATS server is lost for good; its owner
// then calls Drain.
func (r *Replica) Lost() <-chan error { return r.bus.Lost() }

// Asked is closed when a control request asks the replica to leave; its owner
// then calls Drain.
func (r *Replica) Asked() <-chan struct{} { return r.asked }
