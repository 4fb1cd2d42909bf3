package replica

import (
	"context"

	"github.com/pluginhost/pluginhost/subjects"
)

// pluginPart is a part of the replica that has something for each plugin which generations share, and
// which is left when the replica goes: the fires of its schedules, its WebSockets.
type pluginPart interface {
	// serve is told that a generation of a plugin serves from now on, and leave that none does here
	// any more: it waits for what runs until ctx is over, and may come twice. changing of the
	// plugin is held.
	serve(h *hosted, next *generation)
	leave(ctx context.Context, h *hosted)
	// forget removes what a plugin that was removed has left in the cluster.
	forget(ctx context.Context, id string) error
	// status tells what the plugin has.
	status(h *hosted, status *subjects.PluginStatus)
}
