package scrobble

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// Route routes what is in the intake until ctx is over, whoever leads: as a replica does that has not
// heard yet that it leads no more.
func (q *Queues) Route(ctx context.Context) error {
	for {
		r := &Router{queues: q, full: make(map[string]uint64)}
		if err := r.route(ctx); ctx.Err() != nil {
			return err
		}
	}
}

// PlayID is what tells doubles of a request, in a queue of its user.
func PlayID(r *api.ScrobblerScrobbleRequest) string {
	p := play{request: r}
	return p.id(subjects.UserKey(r.Username, r.UserId))
}
