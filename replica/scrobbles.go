package replica

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// scrobbles has the plays delivered that wait for plugins which are served here, and routes what is published while this
// replica leads.
type scrobbles struct {
	replica   string
	log       *slog.Logger
	queues    *scrobble.Queues
	election  *cluster.Election
	heartbeat *cluster.Heartbeat
	settings  *atomic.Pointer[config.Config]
	directory atomic.Pointer[directory]
	beat      func(context.Context)
	running   context.Context // of the replica

	router *scrobble.Router // nil until it routes

	workers perPlugin[*scrobble.Worker]
}

var _ pluginPart = (*scrobbles)(nil)

// openScrobbles opens the queues of plays. The caller closes them.
func (r *Replica) openScrobbles(ctx context.Context) (*scrobbles, error) {
	s := &scrobbles{
		replica: r.id, log: r.log, election: r.leadership.election, heartbeat: r.heartbeat, settings: &r.config, beat: r.beat, running: r.running,
	}
	var err error
	s.queues, err = scrobble.Open(ctx, r.bus.Jet(), scrobble.Config{
		Replica: r.id, Limits: s.limits, Users: s.users,
		Announce: func(kind subjects.EventKind, event subjects.ScrobbleEvent) { r.announceScrobble(kind, event) },
	})
	return s, err
}

// route begins to route what is published. Which plugins are installed is known by then.
func (s *scrobbles) route(ctx context.Context) { s.router = s.queues.StartRouter(ctx, s.election) }

// stopRouting ends that.
func (s *scrobbles) stopRouting() {
	if s.router != nil {
		s.router.Stop()
	}
}

func (s *scrobbles) limits() scrobble.Limits {
	c := s.settings.Load().Scrobbles
	return scrobble.Limits{
		MaxAge: c.MaxAge, Unlinked: c.Unlinked, MaxIntake: c.MaxIntake,
		MaxQueue: c.MaxQueue, MaxUser: c.MaxUser, MaxUnlinked: c.MaxUnlinked, MaxDead: c.MaxDead,
	}
}

// directory are the users of a configuration.
type directory struct {
	of    *config.Config
	users *scrobble.Directory
}

// users are those of the configuration that applies.
func (s *scrobbles) users() *scrobble.Directory {
	settings := s.settings.Load()
	if known := s.directory.Load(); known != nil && known.of == settings {
		return known.users
	}
	var users []scrobble.User
	for _, user := range settings.Users {
		users = append(users, scrobble.User{Name: user.Name, ID: user.ID})
	}
	next := &directory{settings, scrobble.NewDirectory(users)}
	s.directory.Store(next)
	return next.users
}

// look notes whether a plugin that is there has Scrobbler: plays for all plugins are for it, whether it is served or not.
func (s *scrobbles) look(ctx context.Context, id string, manifest *plugin.Manifest) {
	if manifest == nil {
		return
	}
	if err := s.queues.SetInstalled(ctx, id, manifest.Has(plugin.Scrobbler)); err != nil {
		s.log.Warn("whether plays are for a plugin could not be noted: it is when the plugin is next loaded", "plugin", id, "error", err)
	}
}

// serve begins to deliver the plays of a plugin, or ends it, as its generation has it.
func (s *scrobbles) serve(h *hosted, next *generation) {
	s.look(s.running, h.id, next.entry.Manifest)
	if !next.entry.Manifest.Has(plugin.Scrobbler) {
		s.leave(s.running, h)
		return
	}
	slots := next.limits.Callbacks()
	if worker, is := s.workers.of(h.id); is {
		worker.Set(slots)
		return
	}
	s.beat(s.running) // others must know that we have the plugin before we claim a play
	s.workers.add(h.id, s.queues.StartWorker(scrobble.WorkerConfig{
		ID: h.id, Slots: slots, Plugin: scrobbler{h}, Words: func() scrobble.Words { return s.words(h.id) },
		Runs:    func(replica string) bool { return s.heartbeat.Runs(replica, h.id) },
		Serving: func() []string { return s.serving(h.id) },
	}))
}

// words are what the operator says that errors of a plugin mean.
func (s *scrobbles) words(id string) scrobble.Words {
	given := s.settings.Load().Scrobbles.WordsFor(id)
	return scrobble.Words{Retry: given.Retry, Final: given.Final}
}

// serving are the replicas that may be alive and serve a plugin, this one included.
func (s *scrobbles) serving(id string) []string {
	replicas := []string{s.replica}
	s.heartbeat.Others(func(other subjects.Heartbeat) bool {
		if other.Generations[id] != "" {
			replicas = append(replicas, other.Replica)
		}
		return false
	})
	return replicas
}

// leave delivers no more plays of a plugin, and waits for those that run until ctx is over.
func (s *scrobbles) leave(ctx context.Context, h *hosted) { s.workers.stop(ctx, h.id) }

// forget has no more plays be for a plugin that was removed. Those that wait for it stay: whoever installs it again, or
// moves them to another plugin, finds them.
func (s *scrobbles) forget(ctx context.Context, id string) error {
	return s.queues.SetInstalled(ctx, id, false)
}

// status sums up the plays that wait for a plugin.
func (s *scrobbles) status(h *hosted, status *subjects.PluginStatus) {
	sum := s.queues.Status(h.id)
	if manifest := h.manifest(); sum != (subjects.ScrobbleStatus{}) || manifest != nil && manifest.Has(plugin.Scrobbler) {
		status.Scrobbles = &sum
	}
}

// scrobbler is a plugin that takes plays.
type scrobbler struct{ hosted *hosted }

// IsAuthorized implements scrobble.Plugin.
func (s scrobbler) IsAuthorized(ctx context.Context, user scrobble.User) scrobble.Result {
	result, answer := s.call(ctx, user.Name, schema.Authorization{UserID: user.ID, Username: user.Name})
	if result.Err == nil {
		result.Authorized, result.Err = answer.as.Authorized(answer.Response)
	}
	return result
}

// Scrobble implements scrobble.Plugin.
func (s scrobbler) Scrobble(ctx context.Context, user scrobble.User, request []byte) scrobble.Result {
	result, _ := s.call(ctx, user.Name, schema.Play{Request: request})
	return result
}

// call calls the plugin, once there is a place for it.
func (s scrobbler) call(ctx context.Context, of string, event schema.Event) (scrobble.Result, outcome) {
	ctx, failing := withFailing(ctx)
	answer, made := s.hosted.callBack(ctx, callback{event: event, origin: call.OfQueue, of: of, before: func() error { return nil }})
	result := scrobble.Result{Err: made.Err, Upstream: failing.upstream.Load(), Unanswered: failing.unanswered.Load()}
	switch {
	case errors.Is(made.Err, errNotCalled):
		result.Err = subjects.Errorf(subjects.ErrUnavailable, "%w", made.Err)
		return result, answer
	case made.Err == nil:
		result.Text, result.Err = answer.as.Failure(answer.Response)
		made.Err = result.Err
	}
	s.hosted.Observe(made)
	return result, answer
}

// announceScrobble tells of something that happened to a play or a queue.
func (r *Replica) announceScrobble(kind subjects.EventKind, event subjects.ScrobbleEvent) {
	log := r.log.Info
	if kind == subjects.EventScrobbleDead || kind == subjects.EventScrobbleDropped || kind == subjects.EventScrobbleAside {
		log = r.log.Warn
	}
	log("scrobbles", "event", string(kind), "plugin", event.ID, "user", cut(event.User, maxText), "play", event.Play,
		"reason", string(event.Reason), "error", cut(event.Error, maxText), "lost", event.Lost)
	r.publish(kind, event.ID, event)
}

// userOf reads the user out of a request of Scrobbler: in all of them, the first field is the id and the second the name.
func userOf(request []byte) (user scrobble.User) {
	for len(request) > 0 {
		number, kind, n := protowire.ConsumeTag(request)
		if n < 0 || number > 2 || kind != protowire.BytesType {
			return user
		}
		value, length := protowire.ConsumeBytes(request[n:])
		if length < 0 {
			return user
		}
		if number == 1 {
			user.ID = string(value)
		} else {
			user.Name = string(value)
		}
		request = request[n+length:]
	}
	return user
}
