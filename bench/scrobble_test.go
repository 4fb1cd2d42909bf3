package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAcceptedAndDeliveredPlaysAreMeasured(t *testing.T) {
	for _, s := range []section{scrobbleSection(), deliverySection()} {
		t.Run(s.name, func(t *testing.T) {
			o, err := s.measured(t.Context(), newBench(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range o.Rows {
				if rate := max(r.Figures[perSecond.key].Median, r.Figures[playRate.key].Median); rate <= 0 {
					t.Errorf("%s: %v plays a second", r.Name, rate)
				}
				if _, compared := r.Figures[cpuAdded.key]; compared == strings.HasPrefix(r.Name, "bare") {
					t.Errorf("%s: figures %v", r.Name, r.Figures)
				}
			}
		})
	}
}

// A few thousand plays are enough to tell that the server keeps something of each: blocks of its memory are larger than what the
// replica might.
func TestMemoryOfWaitingPlaysIsMeasured(t *testing.T) {
	const plays = 3000
	rows, err := measureHeld(t.Context(), newBench(t), plays, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows, want one of the replica and two of the server", len(rows))
	}
	for _, r := range rows {
		h := r.samples[0].held
		if h.plays != plays || h.before.resident < 1e6 || h.after.resident < 1e6 {
			t.Errorf("%s: %+v", r.name, h)
		}
	}
	// A play that waits has about 600 bytes on disk; a mark stays where its play was, or less.
	for _, r := range rows[1:] {
		if f, _ := r.figure(heldDisk); f.Median < 100e6 || f.Median > 2e9 {
			t.Errorf("%s: %.0f bytes on disk per million", r.name, f.Median)
		}
	}
}

func TestHandmadeScrobblerTakesPlays(t *testing.T) {
	s, err := newBench(t).openScrobbles(t.Context(), "taker", map[string][]byte{pluginTaker: takesAll()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.deliver(2)(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	all, err := s.clients[0].Queues(t.Context(), pluginTaker, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Errorf("%d queues, want one for each user", len(all))
	}
	for _, q := range all {
		if q.Delivered == 0 || q.Dead != 0 || q.Skipped != 0 {
			t.Errorf("%s: %d delivered, %d dead, %d skipped", q.Name, q.Delivered, q.Dead, q.Skipped)
		}
	}
}

func TestPlaysOfAnyKindAreAlike(t *testing.T) {
	play := playOf("user-1", 7)
	for _, part := range []string{play.Track.Name, play.Track.Album, play.Track.Mbid, play.Track.Artists[0].Mbid, "1600000007"} {
		if listen := string(listenOf(play)); !strings.Contains(listen, part) {
			t.Errorf("a listen without %s: %s", part, listen)
		}
	}
}

func TestProcessThatEndsTooEarlyTellsWhatItSaid(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no luck >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err := startProcess(t.Context(), func(line string) bool { return line == "ready" }, script)
	if err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v, want what it said", err)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := await(ctx, "nothing", func() (uint64, bool, error) { return 0, false, nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the time is over", err)
	}
}
