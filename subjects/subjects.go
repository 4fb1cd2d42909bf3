package subjects

import (
	"fmt"
	"strings"
)

// QueueGroup is the queue group in which all replicas share the calls.
const QueueGroup = "pluginhost"

// MaxID is the longest plugin id that is served, in bytes: encoded, its subject
// must stay far below what a server takes as one line.
const MaxID = 255

// Call is the subject of one method of a plugin.
func Call(id, method string) string { return "plugins." + Token(id) + "." + method }

// Calls matches the subjects of all methods of a plugin.
func Calls(id string) string { return "plugins." + Token(id) + ".*" }

// Callback is the subject of one callback of a plugin, for operators and tests.
func Callback(id, method string) string { return "plugins." + Token(id) + ".callback." + method }

// Callbacks matches the subjects of all callbacks of a plugin.
func Callbacks(id string) string { return "plugins." + Token(id) + ".callback.*" }

// Subjects of control requests, which every replica answers with a JSON
// document.
const (
	// ControlStatus asks for everything a replica knows about itself.
	ControlStatus = "pluginhost.ctl.status"
	// ControlList asks for the plugins.
	ControlList = "pluginhost.ctl.list"
	// ControlDrain makes every replica leave; with a replica's token behind it,
	// that one.
	ControlDrain = "pluginhost.ctl.drain"
)

// ControlDrainOf makes one replica leave; name is its identity.
func ControlDrainOf(replica string) string { return ControlDrain + "." + Token(replica) }

// ControlInfo asks for one plugin.
func ControlInfo(id string) string { return "pluginhost.ctl.info." + Token(id) }

// ControlRefresh makes every replica load a plugin anew.
func ControlRefresh(id string) string { return "pluginhost.ctl.refresh." + Token(id) }

// ControlForget has every replica unload a plugin that it keeps though its files are away,
// and has what a plugin owns removed that no replica has.
func ControlForget(id string) string { return "pluginhost.ctl.forget." + Token(id) }

// Patterns of the control subjects that end in a plugin's token.
const (
	ControlInfos     = "pluginhost.ctl.info.*"
	ControlRefreshes = "pluginhost.ctl.refresh.*"
	ControlForgets   = "pluginhost.ctl.forget.*"
)

// EventSubjects matches the subjects of all announcements.
const EventSubjects = eventPrefix + ">"

const eventPrefix = "pluginhost.event."

// Event is the subject of an announcement about a plugin or a replica.
func Event(kind EventKind, id string) string { return eventPrefix + string(kind) + "." + Token(id) }

// Events matches the subjects of all announcements of a kind.
func Events(kind EventKind) string { return eventPrefix + string(kind) + ".*" }

// ParseEvent is the inverse of Event. What is no such subject is an error.
func ParseEvent(subject string) (kind EventKind, id string, err error) {
	name, is := strings.CutPrefix(subject, eventPrefix)
	first, token, two := strings.Cut(name, ".")
	if !is || !two || first == "" {
		return "", "", fmt.Errorf("the subject %.80q is of no event", subject)
	}
	id, err = ParseToken(token)
	return EventKind(first), id, err
}

// EventKind is what an event tells.
type EventKind string

// The kinds of events.
const (
	EventLoaded   EventKind = "loaded"
	EventFailed   EventKind = "failed"
	EventUnloaded EventKind = "unloaded"
	// EventOutput is a line that a plugin under development has written.
	EventOutput EventKind = "output"
	// Of a replica.
	EventLeaderGained EventKind = "leader_gained"
	EventLeaderLost   EventKind = "leader_lost"
	// Of a replica: a changed configuration is not applied; one is again.
	EventConfigRefused EventKind = "config_refused"
	EventConfigApplied EventKind = "config_applied"
	// Of a schedule: fires were late or left out; a fire runs once more.
	EventScheduleMissed EventKind = "schedule_missed"
	EventScheduleRerun  EventKind = "schedule_rerun"
	// Of a plugin: fires that NATS would never have delivered are handed out anew.
	EventFiresRecovered EventKind = "fires_recovered"
	// Of a play: it is a dead letter; it may be delivered twice, as its replica died or stalled, or nobody
	// knows what became of a call; it was set aside. Of a user's queue: the plugin is not authorised, and is again.
	EventScrobbleDead    EventKind = "scrobble_dead"
	EventScrobbleRerun   EventKind = "scrobble_rerun"
	EventScrobbleAside   EventKind = "scrobble_aside"
	EventScrobblePaused  EventKind = "scrobble_paused"
	EventScrobbleResumed EventKind = "scrobble_resumed"
	// Of a dead letter: it was dropped, as there are as many as may be.
	EventScrobbleDropped EventKind = "scrobble_dropped"
)

// StateBucket is the KV bucket of heartbeats and other records of the cluster.
const StateBucket = "pluginhost-state"

// Keys in StateBucket of secrets that the replicas of a cluster share.
const (
	// ArtworkKey is that of what signs artwork addresses.
	ArtworkKey = "artwork.key"
	// GenerationKey is that of what generations are told apart by.
	GenerationKey = "generation.key"
)

// HeartbeatKey is the key of a replica's heartbeat in StateBucket.
func HeartbeatKey(replica string) string { return "replica." + Token(replica) }

// HeartbeatKeys matches the keys of all heartbeats.
const HeartbeatKeys = "replica.*"

// InitKey is the key in StateBucket of what has become of the OnInit of a
// generation of a plugin.
func InitKey(id, generation string) string { return InitKeys(id) + Token(generation) }

// InitKeys begins the keys of all generations of a plugin.
func InitKeys(id string) string { return AllInitKeys + Token(id) + "." }

// AllInitKeys begins the keys of all generations of all plugins.
const AllInitKeys = "init."

// RemovedKey is the key in StateBucket of a plugin that was removed.
func RemovedKey(id string) string { return RemovedKeys + Token(id) }

// RemovedKeys begins the keys of all plugins that were removed.
const RemovedKeys = "removed."

// LeaderKey is the key of the leader's record in StateBucket.
const LeaderKey = "leader"

// Headers of requests and replies.
const (
	// HeaderTimeout is how long the caller still waits: a Go duration.
	HeaderTimeout = "Pluginhost-Timeout"
	// HeaderReplica is the identity of the replica that answered.
	HeaderReplica = "Pluginhost-Replica"
	// HeaderRetryAfter is how long to wait before sending again: a Go duration.
	HeaderRetryAfter = "Pluginhost-Retry-After"
	// HeaderErrorCode and HeaderError tell a failure (ADR-32).
	HeaderErrorCode = "Nats-Service-Error-Code"
	HeaderError     = "Nats-Service-Error"
	// HeaderVia names the plugins that wait for this call; see FormatVia.
	HeaderVia = "Pluginhost-Via"
	// HeaderRetryDead has a play taken though it has become a dead letter before.
	HeaderRetryDead = "Pluginhost-Retry-Dead"
	// HeaderContentType tells a JSON body.
	HeaderContentType = "Content-Type"
	// HeaderTraceParent and HeaderTraceState carry a W3C trace context.
	HeaderTraceParent = "traceparent"
	HeaderTraceState  = "tracestate"
)

// ContentTypeJSON is the content type of JSON requests and replies.
const ContentTypeJSON = "application/json"
