package replica

import (
	"context"
	"time"

	"github.com/pluginhost/pluginhost/bus/scrobble"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
)

// doors is what the doors beside NATS come to plugins with: each is a client of the bus, like any other.
type doors struct {
	queues *scrobble.Queues
	// plays submits over the connection of JetStream, whose answers nobody can forge; plugins calls over that of doors.
	plays, plugins *client.Client
	followed       *client.FollowedPlugins
	agents         *client.AgentSet
	scrobblers     *client.ScrobblerSet
}

// hasDoors says whether a replica has any.
func hasDoors(settings *config.Config) bool {
	return settings.HTTP.Listen != "" || settings.ListenBrainz.Listen != ""
}

// openDoors opens what the doors have in common; nil is that there is none. The caller stops it.
func (r *Replica) openDoors(ctx context.Context, settings *config.Config) (*doors, error) {
	if !hasDoors(settings) {
		return nil, nil
	}
	d := &doors{queues: r.scrobbles.queues, plays: client.New(r.bus.JetStreamConn()), plugins: client.New(r.bus.DoorsConn())}
	var err error
	if d.followed, err = d.plugins.FollowPlugins(ctx); err != nil {
		return nil, err
	}
	d.agents = d.plugins.AgentSet(d.followed, agentOrder(settings))
	d.scrobblers = d.plugins.ScrobblerSet(d.followed)
	return d, nil
}

// refresh knows the plugins that this replica has just loaded from now on, rather than in a moment.
func (d *doors) refresh(ctx context.Context) error {
	if d == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, client.DefaultTimeout)
	defer cancel()
	return d.followed.Refresh(ctx)
}

// agentOrder is in which order plugins are asked for metadata.
func agentOrder(settings *config.Config) client.AgentOrder {
	return client.AgentOrder{Order: settings.Agents.Order, Only: settings.Agents.Only}
}

// reconfigure applies what applies at once.
func (d *doors) reconfigure(settings *config.Config) {
	if d != nil {
		d.agents.SetOrder(agentOrder(settings))
	}
}

func (d *doors) stop() {
	if d == nil {
		return
	}
	d.scrobblers.Stop()
	d.followed.Stop()
}

// submit returns once a play is safe; a plugin without an id is all.
func (d *doors) submit(ctx context.Context, plugin string, user client.User, track *api.TrackInfo, at time.Time) error {
	queue := d.plays.Scrobbles()
	if plugin != "" {
		queue = queue.To(plugin)
	}
	return queue.Submit(ctx, user, track, at)
}

// nowPlaying tells a plugin, or all, what a user has started to play. It does not wait.
func (d *doors) nowPlaying(plugin string, user client.User, track *api.TrackInfo, at time.Time) {
	known := d.queues.Complete(scrobble.User{Name: user.Name, ID: user.ID})
	user = client.User{Name: known.Name, ID: known.ID}
	if plugin != "" {
		d.scrobblers.NowPlayingTo(plugin, user, track, at)
		return
	}
	d.scrobblers.NowPlaying(user, track, at)
}
