package subjects

import (
	"strings"
	"time"
)

const (
	// ScheduleBucket is the KV bucket of schedules.
	ScheduleBucket = "pluginhost-schedules"
	// FireStream is the work-queue stream of fires: it keeps one for each schedule,
	// until that has run.
	FireStream = "PLUGINHOST_FIRES"
	// FireSubjects matches the subjects of all fires.
	FireSubjects = firePrefix + ">"

	firePrefix = "fires."
)

// ScheduleKey is the key of a schedule in ScheduleBucket.
func ScheduleKey(id, schedule string) string { return Token(id) + "." + Hash(schedule) }

// ScheduleKeys matches the keys of all schedules of a plugin.
func ScheduleKeys(id string) string { return Token(id) + ".*" }

// Fire is the subject of the fires of a schedule, by its key.
func Fire(key string) string { return firePrefix + key }

// FireKey is the inverse of Fire.
func FireKey(subject string) string { return subject[min(len(firePrefix), len(subject)):] }

// Fires matches the subjects of all fires of a plugin.
func Fires(id string) string { return firePrefix + ScheduleKeys(id) }

// FireConsumer is the name of the consumer of FireStream from which all replicas
// pull the fires of a plugin. Those of two plugins differ in more than their case: a server
// keeps each consumer in a folder of its name, and not all file systems tell cases apart.
func FireConsumer(id string) string {
	if name := Token(id); len(name) <= maxConsumerToken && name == strings.ToLower(name) {
		return name
	}
	return Hash(id) + "=" // which ends no token
}

// FormerFireConsumer is what the consumer was called that FireConsumer names now: the same for
// most plugins, and for some that of another plugin.
func FormerFireConsumer(id string) string {
	if name := Token(id); len(name) <= maxConsumerToken {
		return name
	}
	return Hash(id)
}

// maxConsumerToken is the longest token that is the name of a consumer, in bytes.
const maxConsumerToken = 128

// IsFireOf says whether a subject is that of a fire of a plugin.
func IsFireOf(id, subject string) bool {
	return strings.HasPrefix(subject, strings.TrimSuffix(Fires(id), "*"))
}

// ScheduleRecord is a schedule of a plugin, in ScheduleBucket.
type ScheduleRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin.
	Plugin string `json:"plugin"`
	// Schedule is the id that the plugin knows it by: any bytes.
	Schedule []byte `json:"schedule"`
	// Set tells apart what was set under one id, one after the other.
	Set string `json:"set"`
	// Init is the run of OnInit, as InitRecord has it, that set the schedule without an id;
	// empty is a schedule that was set in another call, or under an id of the plugin.
	Init string `json:"init,omitempty"`
	// Created is when it was set.
	Created time.Time `json:"created"`
	// Due is when a one-time schedule fires; zero for a recurring one.
	Due time.Time `json:"due,omitzero"`
	// Expression says when a recurring schedule fires; empty is a one-time schedule.
	Expression string `json:"expression,omitempty"`
	// Zone is the time zone that Expression is read in, such as Europe/Berlin.
	Zone string `json:"zone,omitempty"`
	// Payload is what the plugin gets back when it fires: any bytes.
	Payload []byte `json:"payload,omitempty"`
	// Last is the planned time of the newest fire that was claimed.
	Last time.Time `json:"last,omitzero"`
	// Running is the fire that runs now.
	Running *FireClaim `json:"running,omitempty"`
	// Missed counts planned times at which it did not fire.
	Missed uint64 `json:"missed,omitempty"`
	// Failures counts callbacks that failed.
	Failures uint64 `json:"failures,omitempty"`
	// Error is how the newest callback failed; empty is that it went well, or that there was none.
	Error string `json:"error,omitempty"`
}

// IsRecurring says whether it fires more than once.
func (r *ScheduleRecord) IsRecurring() bool { return r.Expression != "" }

// LastIsAhead says whether Last lies so far in the future that it was written by a
// wrong clock: it says nothing then.
func (r *ScheduleRecord) LastIsAhead(now time.Time) bool { return r.Last.After(now.Add(time.Minute)) }

// FireClaim says who runs a fire.
type FireClaim struct {
	// Replica is the identity of the replica.
	Replica string `json:"replica"`
	// Planned is the time at which the fire was due.
	Planned time.Time `json:"planned"`
	// Term is that of the leader that published the fire.
	Term uint64 `json:"term"`
	// Attempt counts from 1; a second one follows when the replica of the first
	// died or stalled.
	Attempt int `json:"attempt"`
}

// FireMessage is what the leader publishes when a schedule is due.
type FireMessage struct {
	// V is Version.
	V int `json:"v"`
	// Set is that of the schedule; a fire of another is not run.
	Set string `json:"set"`
	// Planned is the time at which the fire was due.
	Planned time.Time `json:"planned"`
	// Term is the leader's. A fire of a former term is not run: the leader
	// publishes it anew.
	Term uint64 `json:"term"`
	// Skipped counts the planned times before this one that did not fire.
	Skipped uint64 `json:"skipped,omitempty"`
	// Late is how late it was published, a Go duration, where whoever runs it is to
	// announce that.
	Late string `json:"late,omitempty"`
}

// ScheduleEvent is published when fires of a schedule were late or left out, and
// when one runs once more.
type ScheduleEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that publishes the event.
	Replica string `json:"replica"`
	// ID is that of the plugin.
	ID string `json:"id"`
	// Schedule is the id that the plugin knows the schedule by: any bytes.
	Schedule []byte `json:"schedule"`
	// Time is when the event was published, in UTC.
	Time time.Time `json:"time"`
	// Planned is the time at which the fire was due.
	Planned time.Time `json:"planned"`
	// Late is how long after its planned time the fire was published: a Go duration.
	Late string `json:"late,omitempty"`
	// Skipped counts the planned times before that did not fire.
	Skipped uint64 `json:"skipped,omitempty"`
	// Attempt counts the runs of one fire, from 1; 0 is an event that is of no run.
	Attempt int `json:"attempt,omitempty"`
	// Lost is the identity of the replica that made the attempt before; empty if there is none.
	Lost string `json:"lost,omitempty"`
}

// FiresEvent is published when fires of a plugin that NATS would never have delivered are
// handed out anew.
type FiresEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the leader.
	Replica string `json:"replica"`
	// ID is that of the plugin.
	ID string `json:"id"`
	// Time is when the event was published, in UTC.
	Time time.Time `json:"time"`
	// Fires are their sequences in FireStream, the first few of them.
	Fires []uint64 `json:"fires"`
	// AckFloor is up to which sequence the plugin's consumer counted everything as done.
	AckFloor uint64 `json:"ack_floor"`
}

// RecoveredFires counts, for one plugin, how often a replica had fires handed out anew that
// NATS would never have delivered.
type RecoveredFires struct {
	// ID is that of the plugin.
	ID string `json:"id"`
	// Times is how often.
	Times int `json:"times"`
	// Last is when it was so most recently, in UTC.
	Last time.Time `json:"last"`
}
