package client

import (
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/subjects"
)

// Listed is a plugin with its state on each replica that has it.
type Listed struct {
	// PluginStatus is what a replica says of it, one that serves it if there is one.
	subjects.PluginStatus
	// Replicas are its states by the identities of replicas.
	Replicas map[string]subjects.State `json:"replicas"`
	// Generations are those of the replicas that have any, by their identities.
	Generations map[string]string `json:"generations,omitempty"`
	// Errors say why replicas do not serve it, by their identities.
	Errors map[string]string `json:"errors,omitempty"`
}

// Merge makes one list of what replicas have answered to [Client.List], in the order of the
// plugins' ids.
func Merge(replicas []subjects.PluginList) []Listed {
	plugins, at := []Listed{}, make(map[string]int)
	for _, r := range replicas {
		for _, status := range r.Plugins {
			i, is := at[status.ID]
			if !is {
				i = len(plugins)
				at[status.ID] = i
				plugins = append(plugins, Listed{PluginStatus: status, Replicas: map[string]subjects.State{}, Generations: map[string]string{}, Errors: map[string]string{}})
			}
			if status.State == subjects.StateReady && plugins[i].State != subjects.StateReady {
				plugins[i].PluginStatus = status
			}
			plugins[i].Replicas[r.Replica] = status.State
			if status.Generation != "" {
				plugins[i].Generations[r.Replica] = status.Generation
			}
			if status.Error != "" {
				plugins[i].Errors[r.Replica] = status.Error
			}
		}
	}
	slices.SortFunc(plugins, func(a, b Listed) int { return strings.Compare(a.ID, b.ID) })
	return plugins
}
