package subjects

import "time"

// Version is the version of every JSON document and stored record.
const Version = 1

// Header begins every answer to a control request.
type Header struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that answers.
	Replica string `json:"replica"`
	// Replicas is how many replicas are alive, as this one sees it: after so
	// many answers a requester need not wait longer.
	Replicas int `json:"replicas"`
}

// State is what a replica does with a plugin.
type State string

// The states of a plugin on a replica.
const (
	StateInitialising State = "initialising"
	StateReady        State = "ready"
	StateFailed       State = "failed"
)

// PluginStatus is a plugin on one replica.
type PluginStatus struct {
	// ID is what the plugin is called by.
	ID string `json:"id"`
	// State is what the replica does with the plugin.
	State State `json:"state"`
	// Error says why it failed; with StateReady, why the newest version did. It is cut to 4 KiB,
	// and empty if nothing failed.
	Error string `json:"error,omitempty"`
	// Progress says how the loading of the newest version gets on, while it is compiled or
	// waits for that.
	Progress string `json:"progress,omitempty"`
	// Name is that of the manifest, as all up to Permissions are. Texts are cut to 512 bytes, and
	// empty without a manifest that can be read.
	Name string `json:"name,omitempty"`
	// Author is who made the plugin.
	Author string `json:"author,omitempty"`
	// Version is that of the plugin, in any form.
	Version string `json:"version,omitempty"`
	// Description says what the plugin does.
	Description string `json:"description,omitempty"`
	// Website is the address of a page about the plugin.
	Website string `json:"website,omitempty"`
	// Capabilities are those that the plugin implements, 20 at the most.
	Capabilities []string `json:"capabilities,omitempty"`
	// Permissions are the names of the host services that it is granted.
	Permissions []string `json:"permissions,omitempty"`
	// Warnings are what should be put right in the manifest or the folder, 20 at the most.
	Warnings []string `json:"warnings,omitempty"`
	// Generation identifies code, manifest and configuration together.
	Generation string `json:"generation,omitempty"`
	// InitRetry is nil unless OnInit of the newest version has failed.
	InitRetry *InitRetry `json:"init_retry,omitempty"`
	// Files identifies its two files: in hex, the SHA-256 of the SHA-256 of plugin.wasm
	// and that of manifest.json, one behind the other.
	Files string `json:"files,omitempty"`
	// Isolation is what a call may see of earlier ones: clean, reuse or fresh. It is empty unless
	// the plugin is ready.
	Isolation string `json:"isolation,omitempty"`
	// IsolationReason says why it is not the isolation that was asked for.
	IsolationReason string `json:"isolation_reason,omitempty"`
	// Source is where it comes from: SourcePackage, or empty for the plugins folder.
	Source string `json:"source,omitempty"`
	// Package is the digest of the package; empty is that there is none.
	Package string `json:"package,omitempty"`
	// Symlink tells a plugin under development.
	Symlink bool `json:"symlink,omitempty"`
	// Calls counts the calls of the generation that serves; nil is that none does.
	Calls *CallStats `json:"calls,omitempty"`
	// Callbacks is nil before the first.
	Callbacks *CallbackStats `json:"callbacks,omitempty"`
	// Schedules is how many the plugin has, on whatever replica they fire.
	Schedules int `json:"schedules,omitempty"`
	// Scrobbles sums up the plays that wait for the plugin, on whatever replica; nil is that it has no Scrobbler and none wait.
	Scrobbles *ScrobbleStatus `json:"scrobbles,omitempty"`
	// Sockets is how many of its WebSockets this replica owns.
	Sockets int `json:"sockets,omitempty"`
}

// InitRetry says when an OnInit that failed is tried again.
type InitRetry struct {
	// Failures is how often it has failed in a row, on whatever replica.
	Failures int `json:"failures"`
	// Next is when this replica tries it, unless another one does before.
	Next time.Time `json:"next"`
}

// CallStats counts the calls of a plugin on one replica.
type CallStats struct {
	// Requests is how many calls there were since the plugin was loaded here, refreshes included.
	Requests int `json:"requests"`
	// Errors is how many of them failed.
	Errors int `json:"errors"`
	// Running is how many calls run now.
	Running int `json:"running"`
	// Waiting is how many calls wait now for an instance.
	Waiting int `json:"waiting"`
	// Idle is how many instances are kept for the next calls.
	Idle int `json:"idle"`
}

// CallbackStats counts the callbacks of a plugin's schedules and connections that one
// replica has made.
type CallbackStats struct {
	// Requests is how many callbacks there were since the plugin was loaded here, refreshes
	// included.
	Requests int `json:"requests"`
	// Errors is how many of them failed.
	Errors int `json:"errors"`
	// LastError is the newest of the errors; nil is none.
	LastError *CallbackError `json:"last_error,omitempty"`
}

// CallbackError is a callback that failed.
type CallbackError struct {
	// Method is the name of the callback, such as on_scheduler_callback.
	Method string `json:"method"`
	// Schedule is the id of the schedule that called back, cut to 512 bytes; nil is that a
	// connection did.
	Schedule []byte `json:"schedule,omitzero"`
	// Connection is the id of the connection that called back, cut to 512 bytes; nil is that a
	// schedule did.
	Connection []byte `json:"connection,omitzero"`
	// Time is when the callback failed, in UTC.
	Time time.Time `json:"time"`
	// Error says why, cut to 512 bytes.
	Error string `json:"error"`
}

// Status answers ControlStatus.
type Status struct {
	Header
	// Name is what the replica is called in its configuration.
	Name string `json:"name"`
	// Version is that of the program.
	Version string `json:"version"`
	// Started is when the replica started, in UTC.
	Started time.Time `json:"started"`
	// NATS is the address of the server that the replica is connected to, without user and
	// password.
	NATS string `json:"nats"`
	// Ready says that its plugins are loaded, or have failed, and that Fault is nil.
	Ready bool `json:"ready"`
	// Fault is what keeps the replica from its work beside calls; nil is nothing.
	Fault *Fault `json:"fault,omitempty"`
	// Draining says that the replica finishes its calls and leaves.
	Draining bool `json:"draining,omitempty"`
	// Leader is the identity of the replica that leads, as this one sees it; empty
	// is nobody.
	Leader string `json:"leader,omitempty"`
	// FolderFault says what is wrong with the plugins folder, such as that it is empty all
	// at once, or has packages that are not installed; empty is nothing.
	FolderFault string `json:"folder_fault,omitempty"`
	// ConfigFaults are what is wrong with the newest configuration, while a former one
	// applies; empty is that the newest does.
	ConfigFaults []string `json:"config_faults,omitempty"`
	// RecoveredFires are those of plugins whose fires this replica had handed out anew
	// while it led, in the order of their ids.
	RecoveredFires []RecoveredFires `json:"recovered_fires,omitempty"`
	// SlowConsumers is how often the replica has dropped messages since it started, as
	// more came than it could take.
	SlowConsumers uint64 `json:"slow_consumers,omitempty"`
	// Plugins are all that the replica has, also those that have failed.
	Plugins []PluginStatus `json:"plugins"`
}

// Fault is what keeps a replica from its work: NATS takes no writes.
type Fault struct {
	// Since is when the first write was begun that failed, in UTC.
	Since time.Time `json:"since"`
	// Reason says why, as far as that is known, and what to do.
	Reason string `json:"reason"`
}

// PluginList answers ControlList.
type PluginList struct {
	Header
	// Draining says that the replica leaves: its plugins are still fewer every moment.
	Draining bool `json:"draining,omitempty"`
	// FolderFault is that of Status.
	FolderFault string `json:"folder_fault,omitempty"`
	// Plugins are those of Status.
	Plugins []PluginStatus `json:"plugins"`
}

// PluginInfo answers ControlInfo.
type PluginInfo struct {
	Header
	// ID is that of the plugin that was asked for.
	ID string `json:"id"`
	// Plugin is nil where the replica has no such plugin.
	Plugin *PluginStatus `json:"plugin"`
	// MayUse is what its manifest grants it of the host, a line each: permissions with their
	// reasons, addresses with their methods. Only the first lines of a long list are told.
	MayUse []string `json:"may_use,omitempty"`
}

// Refreshed answers ControlRefresh and ControlForget.
type Refreshed struct {
	Header
	// ID is that of the plugin that was asked for.
	ID string `json:"id"`
	// Outcome is what came of it.
	Outcome Outcome `json:"outcome,omitempty"`
	// Plugin is nil where the replica has no such plugin any more.
	Plugin *PluginStatus `json:"plugin"`
	// Error says why the plugin could not be loaded anew; one that served
	// before still does.
	Error string `json:"error,omitempty"`
}

// Outcome is what a refresh, or a request to forget, has come to on one replica.
type Outcome string

// The outcomes.
const (
	OutcomeLoaded   Outcome = "loaded"   // a new generation serves
	OutcomeFailed   Outcome = "failed"   // it could not be made; a former one still serves
	OutcomeUnloaded Outcome = "unloaded" // the plugin's folder or package is gone, and so is the plugin
	OutcomeUnknown  Outcome = "unknown"  // the replica has and had no such plugin
	OutcomeKept     Outcome = "kept"     // it was not forgotten: the plugin is in the folder, or installed for the cluster
)

// Draining answers ControlDrain.
type Draining struct {
	Header
}

// PluginEvent is published when a plugin is loaded, has failed or is gone.
type PluginEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that publishes the event.
	Replica string `json:"replica"`
	// ID is that of the plugin.
	ID string `json:"id"`
	// Time is when the event was published, in UTC.
	Time time.Time `json:"time"`
	// Generation is that which was loaded or is gone; empty is one that has failed.
	Generation string `json:"generation,omitempty"`
	// Error says what went wrong, cut to 4 KiB; empty is nothing.
	Error string `json:"error,omitempty"`
}

// OutputEvent is published for each line that a plugin under development writes: one
// whose entry in the plugins folder is a symlink.
type OutputEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that publishes the event.
	Replica string `json:"replica"`
	// ID is that of the plugin.
	ID string `json:"id"`
	// Time is when the line was written, in UTC.
	Time time.Time `json:"time"`
	// Stream is stdout or stderr, or StreamHost.
	Stream string `json:"stream"`
	// Text is the line.
	Text string `json:"text"`
}

// StreamHost is OutputEvent.Stream where the host itself says something of the plugin:
// a record of its log.
const StreamHost = "host"

// LeaderEvent is published when a replica gains or loses the lead.
type LeaderEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that leads, or no longer does.
	Replica string `json:"replica"`
	// Time is when the event was published, in UTC.
	Time time.Time `json:"time"`
	// Term is the number of the term that has begun or ended.
	Term uint64 `json:"term"`
}

// ConfigEvent is published when a replica does not apply a changed configuration, and when
// it applies one again.
type ConfigEvent struct {
	// V is Version.
	V int `json:"v"`
	// Replica is the identity of the replica that publishes the event.
	Replica string `json:"replica"`
	// Time is when the event was published, in UTC.
	Time time.Time `json:"time"`
	// Faults are what is wrong; empty is that it is applied.
	Faults []string `json:"faults,omitempty"`
}

// Heartbeat is the record of a live replica in StateBucket.
type Heartbeat struct {
	// V is Version.
	V int `json:"v"`
	// Replica is its identity: the name and 8 random characters.
	Replica string `json:"replica"`
	// Name is what it is called in its configuration.
	Name string `json:"name"`
	// Started is when it started.
	Started time.Time `json:"started"`
	// Generations are those it serves, by plugin id.
	Generations map[string]string `json:"generations"`
	// Failed are the newest generations whose OnInit failed, by plugin id.
	Failed map[string]string `json:"failed,omitempty"`
	// Unserved are the plugins that are there and are not served, or not yet.
	Unserved []string `json:"unserved,omitempty"`
	// Inits are the runs of OnInit that initialised the Generations, by plugin id: the Run
	// of an InitRecord.
	Inits map[string]string `json:"inits,omitempty"`
	// Holds are, by plugin id, the runs of OnInit of generations that are about to serve.
	Holds map[string]string `json:"holds,omitempty"`
}

// LeaderRecord is the record of the leader in StateBucket.
type LeaderRecord struct {
	// V is Version.
	V int `json:"v"`
	// Replica leads; empty is one that has resigned.
	Replica string `json:"replica"`
	// Term is a number that grows with every leader.
	Term uint64 `json:"term"`
	// Beat moves the record.
	Beat uint64 `json:"beat"`
}

// InitState is what has become of the OnInit of a generation.
type InitState string

// The states of an OnInit.
const (
	InitRunning InitState = "running"
	InitDone    InitState = "done"
	InitFailed  InitState = "failed"
)

// InitRecord says what has become of the OnInit of one generation of a plugin, in
// StateBucket.
type InitRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin.
	Plugin string `json:"plugin"`
	// Generation is that whose OnInit it is.
	Generation string `json:"generation"`
	// State is what has become of the newest attempt.
	State InitState `json:"state"`
	// Replica is the identity of the replica that runs it, or has; empty is an attempt that
	// was taken from a replica that is gone.
	Replica string `json:"replica"`
	// Attempt counts from 1.
	Attempt int `json:"attempt"`
	// Failures is how often it has failed in a row; the pause before the next attempt
	// grows with it.
	Failures int `json:"failures,omitempty"`
	// Run tells this attempt apart from all others of the plugin. What OnInit sets without
	// an id is marked with it.
	Run string `json:"run,omitempty"`
	// Succeeded is the Run of the newest attempt before this one that has succeeded; empty is
	// none.
	Succeeded string `json:"succeeded,omitempty"`
	// SucceededAt is the revision of the record that said so; 0 is none.
	SucceededAt uint64 `json:"succeeded_at,omitempty"`
	// Error says why it failed.
	Error string `json:"error,omitempty"`
}

// RemovedRecord says that a plugin was removed from a replica, in StateBucket. When
// no replica has it any more, what it has left behind goes, and then the record;
// it also goes when the plugin is there again.
type RemovedRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin.
	Plugin string `json:"plugin"`
	// Time is when it was removed.
	Time time.Time `json:"time"`
	// Cleaning is the identity of the replica that removes what is left, once that
	// has begun.
	Cleaning string `json:"cleaning,omitempty"`
}
