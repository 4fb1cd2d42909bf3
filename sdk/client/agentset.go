package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// PluginLister knows the plugins of all replicas, whatever their state. [*FollowedPlugins] is one.
type PluginLister interface {
	Listed() []Listed
}

// AgentOrder is which plugins an AgentSet asks, and in which order.
type AgentOrder struct {
	// Order are ids of plugins with MetadataAgent: these are asked first, in this order.
	Order []string
	// Only says that no others are asked. Otherwise all others follow, in the order of their ids.
	Only bool
}

// AgentSet asks the plugins with MetadataAgent one after the other until one has an answer, as a music server does that has
// several agents. It is an api.MetadataAgent itself. It is safe for concurrent use; there is nothing to close.
//
// An answer is acceptable if there is something in it: a text that is not empty, a list with something in it, album information of
// which any field is there. Each plugin has its share of the time that is left, so that a slow one leaves some to those
// after it; one that fails three times in a row is left alone for a while.
//
// The error is api.ErrNotFound if all have been asked and none has anything, and api.ErrNotImplemented if none offers the
// method. If any could not be asked, was late or failed, nobody knows whether there is nothing: the error is
// subjects.ErrDeadlineExceeded then if one was late, and subjects.ErrUnavailable otherwise, which does not say here that nothing ran.
type AgentSet struct {
	client   *Client
	plugins  PluginLister
	order    atomic.Pointer[AgentOrder]
	breakers *breakers
}

var _ api.MetadataAgent = (*AgentSet)(nil)

// AgentSet returns the set of the plugins that a lister knows.
func (c *Client) AgentSet(plugins PluginLister, order AgentOrder) *AgentSet {
	s := &AgentSet{client: c, plugins: plugins, breakers: newBreakers()}
	s.SetOrder(order)
	return s
}

// SetOrder has plugins asked in another order from the next question on.
func (s *AgentSet) SetOrder(order AgentOrder) {
	order.Order = slices.Clone(order.Order)
	s.order.Store(&order)
}

// AgentAnswer is what an AgentSet was answered.
type AgentAnswer struct {
	// Plugin is the id of the plugin whose answer it is.
	Plugin string
	// Response is the response message of the method, in protobuf.
	Response []byte
}

// Ask asks a method of MetadataAgent by its name on the bus, with the bytes of the request message in protobuf. The error is as
// for the methods of AgentSet, and subjects.ErrBadRequest if MetadataAgent has no such method.
func (s *AgentSet) Ask(ctx context.Context, method string, request []byte) (AgentAnswer, error) {
	if _, known := agentMethods[method]; !known {
		return AgentAnswer{}, subjects.Errorf(subjects.ErrBadRequest, "MetadataAgent has no method %.80q: want a name such as get_artist_biography", method)
	}
	if err := s.client.connected(); err != nil {
		return AgentAnswer{}, err
	}
	ctx, cancel := s.client.bounded(ctx)
	defer cancel()
	asked := &asking{set: s, method: method, request: request}
	asked.turns(s.agents())
	for len(asked.left) > 0 && ctx.Err() == nil {
		id := asked.left[0]
		answer, done := asked.ask(ctx, id, share(ctx, len(asked.left)))
		if done {
			return answer, nil
		}
		asked.left = asked.left[1:]
	}
	return AgentAnswer{}, asked.failure(ctx)
}

// share is how long the next of so many plugins may take.
func share(ctx context.Context, plugins int) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline) / time.Duration(plugins)
}

// agent is a plugin that is asked, or would be if it were there.
type agent struct {
	id     string
	absent string // why it cannot be asked; empty is that it can
}

// agents are the plugins in the order in which they are asked.
func (s *AgentSet) agents() []agent {
	listed, order := s.plugins.Listed(), s.order.Load()
	var agents []agent
	for i, id := range order.Order {
		if slices.Contains(order.Order[:i], id) {
			continue
		}
		at := slices.IndexFunc(listed, func(p Listed) bool { return p.ID == id })
		switch {
		case at < 0:
			agents = append(agents, agent{id, "is on no replica"})
		case len(listed[at].Capabilities) == 0 || isAgent(listed[at]):
			agents = append(agents, agent{id, absence(listed[at])})
		}
	}
	if order.Only {
		return agents
	}
	for _, p := range listed { // in the order of their ids
		if slices.Contains(order.Order, p.ID) {
			continue
		}
		// Of one that is being fetched, or has no manifest that can be read, nobody knows what it is.
		if isAgent(p) || len(p.Capabilities) == 0 && p.State != subjects.StateReady {
			agents = append(agents, agent{p.ID, absence(p)})
		}
	}
	return agents
}

func isAgent(p Listed) bool { return slices.Contains(p.Capabilities, "MetadataAgent") }

// absence is why a plugin cannot be asked; empty is that it can.
func absence(p Listed) string {
	if p.State == subjects.StateReady {
		return ""
	}
	return "is " + string(p.State)
}

// asking is one question to a set.
type asking struct {
	set     *AgentSet
	method  string
	request []byte

	left []string // ids of those that are still to be asked

	nothing, notImplemented int      // how many have said so
	late                    bool     // one was
	failed                  []string // who was skipped, late or failed, and why
}

// turns sorts out who cannot be asked.
func (a *asking) turns(agents []agent) {
	for _, one := range agents {
		switch {
		case one.absent != "":
			a.failed = append(a.failed, one.id+" "+one.absent)
		case !a.set.breakers.allows(one.id, time.Now()):
			a.failed = append(a.failed, one.id+" has failed again and again, and is left alone for a while")
		default:
			a.left = append(a.left, one.id)
		}
	}
}

// ask asks one plugin. done says that its answer is acceptable.
func (a *asking) ask(ctx context.Context, id string, within time.Duration) (answer AgentAnswer, done bool) {
	mine, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	finds, is := a.set.breakers.begin(id, time.Now())
	if !is { // others found out meanwhile
		a.failed = append(a.failed, id+" has failed again and again, and is left alone for a while")
		return answer, false
	}
	response, err := a.set.client.Call(mine, id, a.method, a.request)
	has := false
	if err == nil {
		if has, err = acceptable(a.method, response); err != nil {
			err = subjects.Errorf(subjects.ErrCrashed, "the response does not decode: %w", err)
		}
	}
	a.set.breakers.end(id, time.Now(), finds, verdictOf(err, within))
	switch {
	case has:
		return AgentAnswer{Plugin: id, Response: response}, true
	case err == nil, errors.Is(err, api.ErrNotFound):
		a.nothing++
	case errors.Is(err, api.ErrNotImplemented):
		a.notImplemented++
	default:
		a.late = a.late || errors.Is(err, subjects.ErrDeadlineExceeded)
		a.failed = append(a.failed, fmt.Sprintf("%s: %v", id, err))
	}
	return answer, false
}

// failure is why nobody has answered.
func (a *asking) failure(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	for _, id := range a.left {
		a.failed, a.late = append(a.failed, id+" was not asked any more"), true
	}
	switch {
	case a.late:
		return subjects.Errorf(subjects.ErrDeadlineExceeded, "no answer in time: %s", a.reasons())
	case len(a.failed) > 0:
		return subjects.Errorf(subjects.ErrUnavailable, "nobody knows: %s", a.reasons())
	case a.nothing > 0:
		return notFound()
	case a.notImplemented > 0:
		return notImplemented()
	default:
		return subjects.Errorf(subjects.ErrUnavailable, "there is no plugin with MetadataAgent to ask")
	}
}

// maxReasons is how many plugins are named of those that failed.
const maxReasons = 10

func (a *asking) reasons() string {
	if more := len(a.failed) - maxReasons; more > 0 {
		return strings.Join(a.failed[:maxReasons], "; ") + fmt.Sprintf("; and %d more", more)
	}
	return strings.Join(a.failed, "; ")
}
