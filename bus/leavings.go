package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/jet"
)

// maxRemoving is how many records are removed at once.
const maxRemoving = 32

// Runs are the runs of OnInit of which there are schedules that they set without an id,
// by plugin.
func (s *Schedules) Runs() map[string][]string { return s.index.runs() }

// DropRun removes the schedules that a run of OnInit has set without an id, and says how
// many those were. One that has changed meanwhile stays, and a one-time schedule that
// runs on a replica that isAlive: it goes by itself.
func (s *Schedules) DropRun(ctx context.Context, id, run string, isAlive func(replica string) bool) (int, error) {
	var dropped atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxRemoving)
	for key, known := range s.index.of(id) {
		if known.run != run || known.claimed != "" && isAlive(known.claimed) {
			continue
		}
		group.Go(func() error {
			err := s.records.Remove(ctx, key, known.revision)
			switch {
			case err == nil:
				s.index.removed(key, known.revision)
				dropped.Add(1)
			case errors.Is(err, jet.ErrMoved): // the watch tells what became of it
			default:
				return fmt.Errorf("schedule: %w", err)
			}
			return nil
		})
	}
	err := group.Wait()
	return int(dropped.Load()), err
}

// Runs are the runs of OnInit of which there are connections that they opened without an
// id, by plugin.
func (s *Sockets) Runs() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string][]string)
	for _, socket := range s.known {
		r := socket.record
		if r.Init != "" && !slices.Contains(found[r.Plugin], r.Init) {
			found[r.Plugin] = append(found[r.Plugin], r.Init)
		}
	}
	return found
}

// DropRun removes the records of connections that a run of OnInit has opened without an
// id, and whose owners are gone: nobody is told of their ends. Owners that are alive
// close theirs. It says how many those were.
func (s *Sockets) DropRun(ctx context.Context, id, run string) (int, error) {
	dropped := 0
	for key, socket := range s.ofRun(id, run) {
		if owner := socket.record.Replica; owner != "" && s.config.Heartbeat.Alive(owner) {
			continue
		}
		switch err := s.records.Remove(ctx, key, socket.revision); {
		case err == nil:
			dropped++
		case errors.Is(err, jet.ErrMoved): // the watch tells what became of it
		default:
			return dropped, fmt.Errorf("record of a connection: %w", err)
		}
	}
	return dropped, nil
}

// ofRun are the connections that a run of OnInit has opened without an id, by key.
func (s *Sockets) ofRun(id, run string) map[string]knownSocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := make(map[string]knownSocket)
	for key, socket := range s.known {
		if socket.record.Plugin == id && socket.record.Init == run {
			of[key] = socket
		}
	}
	return of
}
