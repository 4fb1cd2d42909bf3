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
	listed := g.Listed.Listed()
	if _, err := g.Listed.Stale(); err != nil && len(listed) == 0 {
		return subjects.Errorf(subjects.ErrUnavailable, "nobody has told yet what plugins there are: %w", err)
	}
	list := pluginList{V: subjects.Version, Plugins: []client.Listed{}}
	for _, p := range listed {
		if grant.Plugin == "" || grant.Plugin == p.ID {
			list.Plugins = append(list.Plugins, p)
		}
	}
	return g.document(a, grant, list)
}

// info tells what each replica knows of a plugin.
func (g *Gateway) info(a *answering, r *http.Request, grant subjects.AccessTokenGrant, at place) error {
	replicas, err := g.Plugins.Info(r.Context(), at.plugin)
	if err != nil {
		return subjects.Errorf(subjects.ErrUnavailable, "%w", err)
	}
	alive := 0
	for _, one := range replicas {
		alive = max(alive, one.Replicas)
		if one.Plugin != nil {
			return g.document(a, grant, pluginInfo{V: subjects.Version, ID: at.plugin, Replicas: replicas})
		}
	}
	if len(replicas) < alive {
		return subjects.Errorf(subjects.ErrUnavailable, "%d of %d replicas have answered, and none of them has a plugin of that id: try again later", len(replicas), alive)
	}
	return refusef(http.StatusNotFound, subjects.NameNoSuchPlugin, "no replica has a plugin of that id: %s lists those that there are", subjects.HTTPPlugins)
}

// document sends a document of JSON.
func (g *Gateway) document(a *answering, grant subjects.AccessTokenGrant, document any) error {
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	release, err := g.roomFor(grant, body)
	if err != nil { // and nothing ran
		return unread(err)
	}
	defer release()
	a.send(http.StatusOK, subjects.ContentTypeJSON, body)
	return nil
}
