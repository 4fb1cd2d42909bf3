package replica

import (
	"errors"
	"runtime/debug"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// controls are the answers to control requests.
func (r *Replica) controls() map[string]bus.ControlHandler {
	return map[string]bus.ControlHandler{
		subjects.ControlStatus: func(string) any { return r.Status() },
		subjects.ControlList:   func(string) any { return subjects.PluginList{Header: r.header(), Plugins: r.pluginStatuses()} },
		subjects.ControlInfos: func(token string) any {
			id, err := subjects.ParseToken(token)
			if err != nil {
				return nil
			}
			return subjects.PluginInfo{Header: r.header(), ID: id, Plugin: r.pluginStatus(id)}
		},
		subjects.ControlRefreshes: func(token string) any {
			id, err := subjects.ParseToken(token)
			if err != nil {
				return nil
			}
			answer := subjects.Refreshed{ID: id}
			if err := r.Refresh(r.running, id); err != nil && !errors.Is(err, plugin.ErrNotFound) {
				answer.Error = err.Error()
			}
			answer.Header, answer.Plugin = r.header(), r.pluginStatus(id)
			return answer
		},
		subjects.ControlDrain:         func(string) any { return r.ask() },
		subjects.ControlDrainOf(r.id): func(string) any { return r.ask() },
	}
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
	return subjects.Status{
		Header:   r.header(),
		Name:     r.config.Name,
		Version:  Version(),
		Started:  r.started,
		NATS:     r.URL(),
		Ready:    r.ready.Load(),
		Draining: r.draining.Load(),
		Plugins:  r.pluginStatuses(),
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

// Version is the version of the program, as its build knows it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
