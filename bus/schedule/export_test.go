package schedule

import (
	"context"

	"github.com/pluginhost/pluginhost/subjects"
)

// Wrote counts a schedule that was set, as Set does at its end.
func (s *Schedules) Wrote(key, id string, revision uint64) {
	s.index.wrote(key, knownSchedule{plugin: id, revision: revision})
}

// Publish publishes a fire, as the Planner does with one that it finds due.
func (p *Planner) Publish(ctx context.Context, key string, fire subjects.FireMessage) bool {
	return p.publish(ctx, &dueFire{FireMessage: fire, key: key})
}
