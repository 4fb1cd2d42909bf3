package plugintest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
)

// Schedule is what the plugin has planned.
type Schedule struct {
	// ID is that of the schedule. The ids of named callbacks begin with the name and U+200B.
	ID string
	// Recurring tells a recurring schedule from a one-time one.
	Recurring bool
	// Expression is the cron expression of a recurring schedule; empty is a one-time one.
	Expression string
	// Next is when it is due, in UTC.
	Next time.Time
	// Payload is what the callback gets.
	Payload []byte
}

// Schedules returns what the plugin has planned, the next one first, and those due at the
// same time in the order in which they were planned.
func (h *Host) Schedules() []Schedule {
	found := h.schedules.inOrder()
	list := make([]Schedule, len(found))
	for i, p := range found {
		list[i] = Schedule{ID: p.ID, Recurring: p.Due.IsZero(), Expression: p.Expression, Next: p.next.UTC(), Payload: p.Payload}
	}
	return list
}

// schedules keeps the schedules of the plugin.
type schedules struct {
	mu      sync.Mutex
	entries map[string]*planned
	count   int // how many were ever planned
}

var _ scheduler.Store = (*schedules)(nil)

// planned is a schedule; it is replaced rather than changed.
type planned struct {
	scheduler.Schedule
	timetable scheduler.Timetable // of a recurring one
	next      time.Time
	number    int
}

// Set implements scheduler.Store.
func (s *schedules) Set(_ context.Context, schedule scheduler.Schedule) error {
	schedule.Payload = bytes.Clone(schedule.Payload)
	p := &planned{Schedule: schedule, next: schedule.Due}
	if schedule.Due.IsZero() {
		var err error
		if p.timetable, err = scheduler.ParseTimetable(schedule.Expression, schedule.Zone); err != nil {
			return err
		}
		p.next = p.timetable.Next(schedule.Created)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, replaces := s.entries[schedule.ID]; !replaces && len(s.entries) >= maxSchedules {
		return fmt.Errorf("limit of schedules: the plugin has %d of %d", len(s.entries), maxSchedules)
	}
	s.count++
	p.number = s.count
	s.entries[schedule.ID] = p
	return nil
}

// Cancel implements scheduler.Store.
func (s *schedules) Cancel(_ context.Context, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.entries[id]
	delete(s.entries, id)
	return found, nil
}

// inOrder returns the schedules, the next one first.
func (s *schedules) inOrder() []*planned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.entries), comparePlanned)
}

func comparePlanned(a, b *planned) int {
	if order := a.next.Compare(b.next); order != 0 {
		return order
	}
	return a.number - b.number
}

// take returns the next schedule that is due at a time, or nil. A one-time schedule is used
// up then, a recurring one planned on.
func (s *schedules) take(until time.Time) *planned {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due *planned
	for _, p := range s.entries {
		if !p.next.IsZero() && !p.next.After(until) && (due == nil || comparePlanned(p, due) < 0) {
			due = p
		}
	}
	if due == nil {
		return nil
	}
	if !due.Due.IsZero() {
		delete(s.entries, due.ID)
		return due
	}
	after := *due
	after.next = due.timetable.Next(due.next)
	s.entries[due.ID] = &after
	return due
}
