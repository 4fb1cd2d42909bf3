package subsonicapi

import (
	"context"
	"slices"
	"time"
)

// maxVia is how many plugins may call each other in a row.
const maxVia = 8

// via returns the ids of the plugins that wait for a request of this call. It refuses
// a call that leads back into the plugin, where Navidrome told.
func (s *Service) via(ctx context.Context, user string) ([]string, error) {
	waiting := s.config.Via(ctx)
	if slices.Contains(waiting, s.config.PluginID) {
		return nil, refuse(user, "the call leads back into plugin %s, which is waiting for it", s.config.PluginID)
	}
	if len(waiting) >= maxVia {
		return nil, refuse(user, "%d plugins wait for each other already, no more may", len(waiting))
	}
	return append(slices.Clone(waiting), s.config.PluginID), nil
}

// begin waits for the turn of a call; see Config.MaxCalls. The caller ends a call that
// had one.
func (s *Service) begin(ctx context.Context, user string) error {
	select {
	case s.turns <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(s.wait)
	defer patience.Stop()
	select {
	case s.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return refuse(user, "no turn for the call in time: %d calls of the plugin are running", cap(s.turns))
	case <-patience.C:
		return refuse(user, "%d Subsonic calls of the plugin are running, and none ended within %v: "+
			"do they lead back into the plugin? Otherwise try again later, or raise [Runtime] MaxConcurrent", cap(s.turns), s.wait)
	}
}

func (s *Service) end() { <-s.turns }
