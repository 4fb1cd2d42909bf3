package socket

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pluginhost/pluginhost/sdk/jet"
)

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
