package replica

import (
	"context"

	"github.com/pluginhost/pluginhost/subjects"
)

// beat tells other replicas at once what this one serves. The heartbeat makes up
// for a failure.
func (r *Replica) beat(ctx context.Context) {
	if err := r.heartbeat.Beat(ctx); err != nil && ctx.Err() == nil {
		r.log.Warn("heartbeat could not be written", "error", err)
	}
}

// record is what the heartbeat tells.
func (r *Replica) record() subjects.Heartbeat {
	generations, failed, inits, holds := make(map[string]string), make(map[string]string), make(map[string]string), make(map[string]string)
	var unserved []string
	for _, h := range r.known() { // one that is gone is served until its calls are over
		generation, run, held := h.initialised()
		switch {
		case generation != "" && h.endpoint.Load() != nil: // of which the NATS server knows
			generations[h.id] = generation
		case !h.isGone():
			unserved = append(unserved, h.id)
		}
		note(inits, h.id, run)
		note(holds, h.id, held)
		if failure := h.initFailure.Load(); failure != nil {
			failed[h.id] = failure.generation
		}
	}
	return subjects.Heartbeat{
		V: subjects.Version, Replica: r.id, Name: r.config.Load().Name, Started: r.begun,
		Generations: generations, Failed: failed, Unserved: unserved, Inits: inits, Holds: holds,
	}
}

// note puts a value under a key, unless it is empty.
func note(into map[string]string, key, value string) {
	if value != "" {
		into[key] = value
	}
}
