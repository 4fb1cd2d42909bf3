package replica

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// controls are the answers to control requests.
func (r *Replica) controls() map[string]bus.ControlHandler {
	return map[string]bus.ControlHandler{
		subjects.ControlStatus: {Answer: func(string) any { return r.Status() }},
		subjects.ControlList: {Answer: func(string) any {
			return subjects.PluginList{Header: r.header(), Draining: r.draining.Load(), FolderFault: r.folderTold(), Plugins: r.pluginStatuses()}
		}},
		subjects.ControlInfos: {Answer: func(token string) any {
			id, err := subjects.ParseToken(token)
			if err != nil {
				return nil
			}
			return subjects.PluginInfo{Header: r.header(), ID: id, Plugin: r.pluginStatus(id), MayUse: r.mayUse(id)}
		}},
		subjects.ControlRefreshes: {Waits: true, Answer: func(token string) any {
			id, err := subjects.ParseToken(token)
			if err != nil {
				return nil
			}
			return r.changedBy(r.Refresh, id, subjects.OutcomeLoaded)
		}},
		subjects.ControlForgets: {Waits: true, Answer: func(token string) any {
			id, err := subjects.ParseToken(token)
			if err != nil {
				return nil
			}
			return r.changedBy(r.Forget, id, subjects.OutcomeKept)
		}},
		subjects.ControlDrain:         {Waits: true, Answer: func(string) any { return r.ask() }},
		subjects.ControlDrainOf(r.id): {Waits: true, Answer: func(string) any { return r.ask() }},
	}
}

// changedBy has something done with a plugin, which ends by itself when the replica leaves, and
// says what came of it; stays is the outcome if the plugin is there after it.
func (r *Replica) changedBy(do func(ctx context.Context, id string) error, id string, stays subjects.Outcome) subjects.Refreshed {
	known := r.pluginStatus(id) != nil
	err := do(context.Background(), id)
	answer := subjects.Refreshed{Header: r.header(), ID: id, Plugin: r.pluginStatus(id)}
	switch {
	case errors.Is(err, plugin.ErrNotFound):
		answer.Outcome = subjects.OutcomeUnknown
	case err != nil:
		answer.Outcome, answer.Error = subjects.OutcomeFailed, cut(err.Error(), maxErrorText)
	case answer.Plugin != nil:
		answer.Outcome = stays
	case known:
		answer.Outcome = subjects.OutcomeUnloaded
	default:
		answer.Outcome = subjects.OutcomeUnknown
	}
	return answer
}

func (r *Replica) ask() any {
	r.askOnce.Do(func() { close(r.asked) })
	return subjects.Draining{Header: r.header()}
}

func (r *Replica) header() subjects.Header {
	return subjects.Header{V: subjects.Version, Replica: r.id, Replicas: r.heartbeat.Live()}
}

// Status is what the replica knows of itself.
func (r *Replica) Status() subjects.Status {
	var fault *subjects.Fault
	if is := r.bus.WriteFault(); is != nil {
		fault = &subjects.Fault{Since: is.Since.UTC(), Reason: faultText(is)}
	}
	return subjects.Status{
		Header:   r.header(),
		Name:     r.config.Load().Name,
		Version:  Version(),
		Started:  r.begun,
		NATS:     r.URL(),
		Ready:    r.ready.Load() && fault == nil,
		Fault:    fault,
		Draining: r.draining.Load(),
		Leader:   r.leadership.leader(),
		Plugins:  r.pluginStatuses(),

		FolderFault:    r.folderTold(),
		ConfigFaults:   r.configFaults(),
		RecoveredFires: r.planner.Recovered(),
		SlowConsumers:  r.bus.SlowConsumers(),
	}
}

func (r *Replica) pluginStatuses() []subjects.PluginStatus {
	statuses := []subjects.PluginStatus{}
	for _, h := range r.all() {
		statuses = append(statuses, h.status())
	}
	return statuses
}

func (r *Replica) pluginStatus(id string) *subjects.PluginStatus {
	h := r.find(id)
	if h == nil || h.isGone() {
		return nil
	}
	status := h.status()
	return &status
}

// maxMayUse is how many lines are told of what a plugin may use.
const maxMayUse = 100

// mayUse is what a plugin may use of the host: that of the version which serves or, if none
// does, of the newest.
func (r *Replica) mayUse(id string) []string {
	h := r.find(id)
	if h == nil || h.isGone() {
		return nil
	}
	manifest := h.manifest()
	if manifest == nil {
		return nil
	}
	lines := manifest.Permissions.Beyond(plugin.Permissions{})
	if more := len(lines) - maxMayUse; more > 0 {
		lines = append(lines[:maxMayUse], fmt.Sprintf("and %d more", more))
	}
	for i, line := range lines {
		lines[i] = cut(line, maxText)
	}
	return lines
}

// Version is the version of the program, as its build knows it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
