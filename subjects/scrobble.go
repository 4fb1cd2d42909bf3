package subjects

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

const (
	// ScrobbleAll is the subject on which a play is published for all plugins with Scrobbler; for
	// one it is [Scrobble]. JetStream stores what is published in IntakeStream, and acknowledges it: from
	// then on it is not lost. The body is a ScrobblerScrobbleRequest, in protobuf or JSON.
	ScrobbleAll = "scrobbles"
	// ScrobbleSubjects matches the subjects of single plugins.
	ScrobbleSubjects = ScrobbleAll + ".*"
	// IntakeStream is the stream of what was published and is not in the queues yet.
	IntakeStream = "PLUGINHOST_SCROBBLES"
	// PlayStream is the stream of the plays in the queues, and of the marks of those that have been.
	PlayStream = "PLUGINHOST_PLAYS"
	// PlaySubjects matches the subjects of all plays in PlayStream.
	PlaySubjects = playPrefix + ">"
	// DeadStream is the stream of the plays that no plugin took, and of what could not be read.
	DeadStream = "PLUGINHOST_DEAD_PLAYS"
	// DeadSubjects matches the subjects of all dead letters.
	DeadSubjects = deadPrefix + ">"
	// QueueBucket is the KV bucket of the queues, and of what they need to know of plugins and
	// users.
	QueueBucket = "pluginhost-queues"

	playPrefix = "plays."
	deadPrefix = "deadplays."
)

// MaxPlay is how many bytes a published play may have, with its headers.
const MaxPlay = 64 << 10

// Scrobble is the subject on which a play is published for one plugin.
func Scrobble(id string) string { return ScrobbleAll + "." + Token(id) }

// ScrobbledTo is the inverse of Scrobble: the plugin that a play was published for, empty for all.
func ScrobbledTo(subject string) (id string, err error) {
	token, one := strings.CutPrefix(subject, ScrobbleAll+".")
	if !one {
		return "", nil
	}
	return ParseToken(token)
}

// UserKey is whose queue a play belongs to: the user's name without regard to case or, if nobody
// knows it, the id, which begins with an = then.
func UserKey(name, id string) string {
	if name != "" {
		return strings.ToLower(name)
	}
	return "=" + id
}

// Play is the subject in PlayStream of a play in the queue of a user, as UserKey has it, at a plugin; play is a
// [PlayKey.ID]. The plugin without an id is the queue of users who are unknown.
func Play(id, user, play string) string { return playPrefix + queueTokens(id, user) + "." + play }

// Plays matches the subjects of all plays of a queue.
func Plays(id, user string) string { return playPrefix + queueTokens(id, user) + ".*" }

// PlaysOf matches the subjects of all plays of a plugin.
func PlaysOf(id string) string { return playPrefix + Token(id) + ".>" }

// DeadPlay is the subject in DeadStream of a play that a plugin did not take.
func DeadPlay(id, user, play string) string { return deadPrefix + queueTokens(id, user) + "." + play }

// DeadPlays matches the subjects of the dead letters of a queue or, without a user, of a plugin.
func DeadPlays(id, user string) string {
	if user == "" {
		return deadPrefix + Token(id) + ".>"
	}
	return deadPrefix + queueTokens(id, user) + ".*"
}

// PlayOf is the play's own token of a subject in PlayStream or DeadStream.
func PlayOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

func queueTokens(id, user string) string { return Token(id) + "." + shortHash([]byte(user)) }

// QueueKey is the key in QueueBucket of the queue of a user at a plugin.
func QueueKey(id, user string) string { return QueueKeys + queueTokens(id, user) }

// Keys in QueueBucket.
const (
	// QueueKeys begins those of all queues.
	QueueKeys = "queue."
	// ScrobblerKeys begins those of the plugins that have Scrobbler.
	ScrobblerKeys = "scrobbler."
	// UserKeys begins those of the users that are known.
	UserKeys = "user."
)

// ScrobblerKey is the key in QueueBucket of a plugin that has Scrobbler.
func ScrobblerKey(id string) string { return ScrobblerKeys + Token(id) }

// UserRecordKey is the key in QueueBucket of a user, by the id.
func UserRecordKey(id string) string { return UserKeys + shortHash([]byte(id)) }

// shortHash is the first 128 bits of the SHA-256, in hex: these stand for text of
// any length in subjects of which there are millions.
func shortHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// PlayKey is what makes two plays the same. What has a MusicBrainz id is told by that, and
// by its text otherwise. The id that a music server gives to a track is not in it.
type PlayKey struct {
	// User is whose play it is, as UserKey has it.
	User string
	// Second is when it was played, in Unix time.
	Second int64
	// Title is that of the recording: its MusicBrainz id, else its name.
	Title string
	// Album is that of the release, in the same way.
	Album string
	// Artists are those of the track, in the same way, in their order.
	Artists []string
}

// ID is the first 128 bits, in hex, of the SHA-256 of the fields in their order: each text as its
// length in decimal, a colon and its bytes; the second as a text in decimal.
func (k PlayKey) ID() string {
	var b []byte
	for _, field := range append([]string{k.User, strconv.FormatInt(k.Second, 10), k.Title, k.Album}, k.Artists...) {
		b = strconv.AppendInt(b, int64(len(field)), 10)
		b = append(b, ':')
		b = append(b, field...)
	}
	return shortHash(b)
}

// PlayRecord is a play in a queue, in PlayStream.
type PlayRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin in whose queue it is; empty is the queue of unknown users.
	Plugin string `json:"plugin"`
	// To is, in the queue of unknown users, the plugin that it was published for; empty is all.
	To string `json:"to,omitempty"`
	// User is whose play it is, as UserKey has it.
	User string `json:"user"`
	// Accepted is when JetStream stored what was published.
	Accepted time.Time `json:"accepted"`
	// Number counts the plays of the queue, from 1.
	Number uint64 `json:"number"`
	// Request is the ScrobblerScrobbleRequest, in protobuf.
	Request []byte `json:"request"`
}

// PlayMark is in PlayStream in the place of a play that waits no more, until it would have been too
// old: the same play is not taken again meanwhile.
type PlayMark struct {
	// V is Version.
	V int `json:"v"`
	// Became is what has become of the play.
	Became PlayFate `json:"became"`
	// Number is that of the play.
	Number uint64 `json:"number"`
}

// PlayFate is what becomes of a play.
type PlayFate string

// The fates of a play.
const (
	PlayDelivered PlayFate = "delivered" // the plugin took it
	PlayDead      PlayFate = "dead"      // it is a dead letter
	PlaySkipped   PlayFate = "skipped"   // the plugin never was authorised for its user
	PlayRouted    PlayFate = "routed"    // its user became known: it is in other queues
)

// DeadRecord is a dead letter, in DeadStream.
type DeadRecord struct {
	// PlayRecord is the play. Without a User it is none, and its Request is the beginning of what could not be read.
	PlayRecord
	// Reason says why it is here.
	Reason DeadReason `json:"reason"`
	// Error is what the plugin, or the host, said last.
	Error string `json:"error,omitempty"`
	// Attempts is how often the plugin was called.
	Attempts int `json:"attempts"`
	// Died is when it came here.
	Died time.Time `json:"died"`
}

// DeadReason is why a play is a dead letter.
type DeadReason string

// The reasons.
const (
	DeadUnreadable DeadReason = "unreadable" // what was published is no play
	DeadRefused    DeadReason = "refused"    // the plugin will never take it
	DeadFailed     DeadReason = "failed"     // it has failed too often in a way that nobody knows
	DeadTooOld     DeadReason = "too_old"    // it has waited longer than [Scrobbles] MaxAge
	DeadTooMany    DeadReason = "too_many"   // as many of its user wait as may, or there are as many users and plugins as may be
)

// QueueRecord is the queue of a user at a plugin, in QueueBucket.
type QueueRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin; empty is the queue of unknown users.
	Plugin string `json:"plugin"`
	// User is whose plays are in it, as UserKey has it.
	User string `json:"user"`
	// Name is how the user's name was spelled last; empty is that nobody knows it.
	Name string `json:"name,omitempty"`
	// UserID is the music server's id of the user; empty is that nobody knows it.
	UserID string `json:"user_id,omitempty"`
	// Routed is how many plays came into the queue.
	Routed uint64 `json:"routed"`
	// Done is how many of them wait no more.
	Done uint64 `json:"done"`
	// From is the sequence in PlayStream from which the next play is looked for.
	From uint64 `json:"from"`
	// Last is the sequence of the newest play. If it is before From, none waits but those set aside.
	Last uint64 `json:"last"`
	// Oldest is when the play was accepted that has waited longest; zero if none waits.
	Oldest time.Time `json:"oldest,omitzero"`
	// Linked says that the plugin has been authorised for the user before.
	Linked bool `json:"linked,omitempty"`
	// Claim is who works on a play of the queue now; nil is nobody.
	Claim *PlayClaim `json:"claim,omitempty"`
	// Head is what the play has come to that is next; nil is that it was not tried yet.
	Head *PlayTries `json:"head,omitempty"`
	// Wait is until when nothing is tried.
	Wait time.Time `json:"wait,omitzero"`
	// Paused is since when the plugin is not authorised for the user; zero is that it is, or was not asked.
	Paused time.Time `json:"paused,omitzero"`
	// Failures is how often in a row nothing could be delivered.
	Failures int `json:"failures,omitempty"`
	// Aside are plays that are tried now and then while others go on.
	Aside []PlayTries `json:"aside,omitempty"`
	// Delivered is how many plays the plugin took.
	Delivered uint64 `json:"delivered,omitempty"`
	// Dead is how many became dead letters.
	Dead uint64 `json:"dead,omitempty"`
	// Skipped is how many were dropped as the plugin never was authorised for the user.
	Skipped uint64 `json:"skipped,omitempty"`
}

// Waiting is how many plays wait in the queue.
func (q *QueueRecord) Waiting() uint64 { return q.Routed - min(q.Done, q.Routed) }

// PlayClaim says who works on a play.
type PlayClaim struct {
	// Replica is the identity of the replica.
	Replica string `json:"replica"`
	// Nonce tells claims of one replica apart.
	Nonce string `json:"nonce"`
	// Play is the sequence of the play in PlayStream.
	Play uint64 `json:"play"`
	// ID is the PlayKey.ID of the play.
	ID string `json:"id"`
	// Attempt counts the replicas that have had this play in a row, from 1: a second one follows when the
	// replica of the first died or stalled.
	Attempt int `json:"attempt"`
}

// PlayTries is what a play has come to that was tried.
type PlayTries struct {
	// Play is the sequence of the play in PlayStream.
	Play uint64 `json:"play"`
	// Attempts is how often the plugin was called.
	Attempts int `json:"attempts"`
	// Unknown is how many attempts ended with an error of which nobody knows what it means.
	Unknown int `json:"unknown,omitempty"`
	// Crashes is how many ended with a crash or a time-out while the plugin worked for others.
	Crashes int `json:"crashes,omitempty"`
	// Since is when it was tried first.
	Since time.Time `json:"since"`
	// Error is what it ended with last.
	Error string `json:"error,omitempty"`
	// Wait is until when it is not tried again, if it was set aside.
	Wait time.Time `json:"wait,omitzero"`
}

// ScrobblerRecord is a plugin that is installed and has Scrobbler, in QueueBucket.
type ScrobblerRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin.
	Plugin string `json:"plugin"`
}

// UserRecord is a user that a request has named with both, in QueueBucket.
type UserRecord struct {
	// V is Version.
	V int `json:"v"`
	// ID is the music server's id of the user.
	ID string `json:"id"`
	// Name is what the user logs in with.
	Name string `json:"name"`
}

// ScrobbleEvent is published when something happens to a play or a queue that nobody did on purpose.
type ScrobbleEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that publishes the event.
	Replica string `json:"replica"`
	// ID is that of the plugin.
	ID string `json:"id"`
	// User is whose queue it is.
	User string `json:"user,omitempty"`
	// Play is the id of the play; empty is an event of the queue.
	Play string `json:"play,omitempty"`
	// Time is when the event was published, in UTC.
	Time time.Time `json:"time"`
	// Reason is why a play is a dead letter.
	Reason DeadReason `json:"reason,omitempty"`
	// Error is what the plugin, or the host, said last.
	Error string `json:"error,omitempty"`
	// Attempt counts the replicas that have had this play in a row; 0 is an event of no rerun by another replica.
	Attempt int `json:"attempt,omitempty"`
	// Lost is the identity of the replica before, which died or stalled with the play.
	Lost string `json:"lost,omitempty"`
}

// ScrobbleStatus sums up the plays that wait for a plugin, on all replicas together.
type ScrobbleStatus struct {
	// Waiting is how many plays wait.
	Waiting uint64 `json:"waiting"`
	// Users is how many users have plays that wait.
	Users int `json:"users"`
	// Paused is for how many of these users the plugin is not authorised.
	Paused int `json:"paused,omitempty"`
	// Oldest is when the play was accepted that has waited longest; zero if none waits.
	Oldest time.Time `json:"oldest,omitzero"`
	// Delivered is how many plays the plugin took.
	Delivered uint64 `json:"delivered"`
	// Dead is how many became dead letters, also those that were tried again since.
	Dead uint64 `json:"dead,omitempty"`
	// Skipped is how many were dropped as the plugin never was authorised for their users.
	Skipped uint64 `json:"skipped,omitempty"`
}
