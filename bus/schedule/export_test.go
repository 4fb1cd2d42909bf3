package schedule

// Wrote counts a schedule that was set, as Set does at its end.
func (s *Schedules) Wrote(key, id string, revision uint64) {
	s.index.wrote(key, knownSchedule{plugin: id, revision: revision})
}
