package schedule

import (
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// plan is when a schedule is to be looked at.
type plan struct {
	key       string
	record    *subjects.ScheduleRecord
	timetable Timetable // of a recurring one
	at        time.Time
	tried     time.Time // when its fire was first to be published, in this term
	believed  time.Time // until when its replica is believed to run the fire
	index     int       // in the queue
}

// dueFire is a fire that is to be published.
type dueFire struct {
	subjects.FireMessage
	key    string
	plugin string
}

func (c *PlannerConfig) plan(key string, record *subjects.ScheduleRecord, now time.Time) (*plan, error) {
	p := &plan{key: key, record: record}
	if record.IsRecurring() {
		var err error
		if p.timetable, err = c.Timetable(record.Expression, record.Zone); err != nil {
			return nil, err
		}
	}
	p.begin(now)
	return p, nil
}

// begin plans the next time, or when to look whether the replica that runs a fire is
// gone.
func (p *plan) begin(now time.Time) {
	p.tried = time.Time{}
	switch {
	case p.record.Running != nil:
		p.at, p.believed = now.Add(lookPause), now.Add(planPatience)
	case p.record.IsRecurring():
		p.at = p.timetable.Next(p.since(now))
	default:
		p.at = p.record.Due
	}
}

// since is the time after which the next fire of a recurring schedule is computed.
func (p *plan) since(now time.Time) time.Time {
	switch {
	case p.record.LastIsAhead(now):
		return now
	case p.record.Last.IsZero():
		return p.record.Created
	default:
		return p.record.Last
	}
}

// look says what is to be published of a schedule that is due now, and plans the
// next look.
func (p *plan) look(now time.Time, config *PlannerConfig) *dueFire {
	record := p.record
	fire := &dueFire{key: p.key, plugin: record.Plugin}
	fire.Set, fire.Planned = record.Set, record.Due
	switch running := record.Running; {
	case !config.IsServed(record.Plugin):
		p.at = now.Add(lookPause)
		return nil
	case running == nil && config.IsLeaving(record.Plugin, record.Init):
		p.at = now.Add(leavingPause) // it is about to be removed
		return nil
	case running != nil && config.IsAlive(running.Replica) && now.Before(p.believed):
		p.at = now.Add(lookPause)
		return nil
	case running != nil:
		// Its replica is gone, or is asked now and then: the stream refuses the fire while the
		// replica works on it. Where none is there the replica does not, as when its claim was
		// written after it had given up on that; it runs then, as a rerun.
		fire.Planned, p.believed = running.Planned, now.Add(planPatience)
	case record.IsRecurring():
		fire.Planned, fire.Skipped = p.timetable.Latest(p.since(now), now)
		if fire.Planned.IsZero() {
			p.at = p.timetable.Next(p.since(now))
			if p.at.IsZero() {
				p.at = now.Add(time.Hour)
			}
			return nil
		}
	}
	if p.tried.IsZero() {
		p.tried = now
	}
	p.at = now.Add(min(max(now.Sub(p.tried)/8, planPause), planPatience))
	if late := now.Sub(fire.Planned); record.Running == nil && (fire.Skipped > 0 || late > lateAfter) {
		fire.Late = late.Round(time.Millisecond).String()
	}
	return fire
}

// planQueue is a heap of plans, the first to be looked at on top.
type planQueue []*plan

func (q planQueue) Len() int           { return len(q) }
func (q planQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q planQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *planQueue) Push(x any) {
	p := x.(*plan)
	p.index = len(*q)
	*q = append(*q, p)
}

// Pop implements heap.Interface.
func (q *planQueue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}
