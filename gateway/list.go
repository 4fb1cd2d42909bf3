package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// pluginList is what is told of all plugins.
type pluginList struct {
	V       int             `json:"v"`
	Plugins []client.Listed `json:"plugins"`
}

// pluginInfo is what is told of one.
type pluginInfo struct {
	V        int                   `json:"v"`
	ID       string                `json:"id"`
	Replicas []subjects.PluginInfo `json:"replicas"`
}

// list tells what plugins there are: those that a token is for.
func (g *Gateway) list(a *answering, grant subjects.AccessTokenGrant) error {
	list := pluginList{V: subjects.Version, Plugins: []client.Listed{}}
	for _, p := range g.Listed.Listed() {
		if grant.Plugin == "" || grant.Plugin == p.ID {
			list.Plugins = append(list.Plugins, p)
		}
	}
	return a.document(list)
}

// info tells what each replica knows of a plugin.
func (g *Gateway) info(a *answering, r *http.Request, at place) error {
	replicas, err := g.Plugins.Info(r.Context(), at.plugin)
	if err != nil {
		return subjects.Errorf(subjects.ErrUnavailable, "%w", err)
	}
	for _, one := range replicas {
		if one.Plugin != nil {
			return a.document(pluginInfo{V: subjects.Version, ID: at.plugin, Replicas: replicas})
		}
	}
	return refusef(http.StatusNotFound, subjects.NameNoSuchPlugin, "no replica has a plugin of that id: %s lists those that there are", subjects.HTTPPlugins)
}

// document sends a document of JSON.
func (a *answering) document(document any) error {
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	a.send(http.StatusOK, subjects.ContentTypeJSON, body)
	return nil
}
