package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

// ErrNoReplica says that no replica answers.
var ErrNoReplica = errors.New("no replica answers: is pluginhost serve running on this NATS server?")

// ErrNoAnswer says that replicas are there, and none has answered a control request for some seconds.
var ErrNoAnswer = errors.New("no answer: replicas run on this NATS server, and are too busy to answer, or may not answer this user")

// busyPatience is how long the first answer is waited for after the usual time, where somebody
// has the request: a NATS server tells at once if nobody does.
const busyPatience = 4 * time.Second

// Status asks every replica for what it knows of itself. None is ErrNoReplica, none that answers
// in time ErrNoAnswer.
func (c *Client) Status(ctx context.Context) ([]subjects.Status, error) {
	return gather(ctx, c, subjects.ControlStatus, gathering[subjects.Status]{header: func(s subjects.Status) subjects.Header { return s.Header }})
}

// List asks every replica for its plugins, for which a user needs fewer rights than for Status.
// None is ErrNoReplica.
func (c *Client) List(ctx context.Context) ([]subjects.PluginList, error) {
	return gather(ctx, c, subjects.ControlList, gathering[subjects.PluginList]{header: func(l subjects.PluginList) subjects.Header { return l.Header }})
}

// Info asks every replica for one plugin. None is ErrNoReplica.
func (c *Client) Info(ctx context.Context, id string) ([]subjects.PluginInfo, error) {
	return gather(ctx, c, subjects.ControlInfo(id), gathering[subjects.PluginInfo]{header: func(i subjects.PluginInfo) subjects.Header { return i.Header }})
}

// Refresh makes every replica load a plugin from its disk anew, and waits for
// those that are alive until ctx is over: loading can take minutes. A replica
// that dies meanwhile is not waited for. None is ErrNoReplica.
func (c *Client) Refresh(ctx context.Context, id string) ([]subjects.Refreshed, error) {
	return c.patiently(ctx, subjects.ControlRefresh(id))
}

// Forget has every replica unload a plugin that it keeps because its plugins folder is away
// or empty, and what the plugin owns removed, once no replica has it: schedules, connections
// and what is known of its OnInit. One that is there goes on, and is told as
// [subjects.OutcomeKept]. It waits as Refresh does. The user needs the rights of an operator.
func (c *Client) Forget(ctx context.Context, id string) ([]subjects.Refreshed, error) {
	return c.patiently(ctx, subjects.ControlForget(id))
}

// Drain has a replica finish its calls and leave, by its identity, or all replicas for an empty one. It returns what they have answered
// before they do. None is ErrNoReplica. The user needs the rights of an operator.
func (c *Client) Drain(ctx context.Context, replica string) ([]subjects.Draining, error) {
	g := gathering[subjects.Draining]{header: func(d subjects.Draining) subjects.Header { return d.Header }}
	subject := subjects.ControlDrain
	if replica != "" {
		if len(replica) > maxReplica {
			return nil, ErrNoReplica // and the server would close the connection
		}
		subject = subjects.ControlDrainOf(replica)
		g.enough = func([]subjects.Draining) bool { return true }
	}
	return gather(ctx, c, subject, g)
}

// maxReplica bounds an identity, in bytes: that of a name, and what makes it one.
const maxReplica = 255 + 9

// patiently asks every replica for something that may take minutes.
func (c *Client) patiently(ctx context.Context, subject string) ([]subjects.Refreshed, error) {
	asked, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	missing := func(replicas []subjects.Status, answers []subjects.Refreshed) bool {
		return slices.ContainsFunc(replicas, func(s subjects.Status) bool {
			return !slices.ContainsFunc(answers, func(r subjects.Refreshed) bool { return r.Replica == s.Replica })
		})
	}
	return gather(ctx, c, subject, gathering[subjects.Refreshed]{
		header: func(r subjects.Refreshed) subjects.Header { return r.Header },
		enough: func(answers []subjects.Refreshed) bool { return !missing(asked, answers) },
		goOn: func(answers []subjects.Refreshed) bool {
			alive, err := c.Status(ctx)
			if err != nil {
				return false
			}
			asked = slices.DeleteFunc(asked, func(s subjects.Status) bool {
				return !slices.ContainsFunc(alive, func(a subjects.Status) bool { return a.Replica == s.Replica })
			})
			return missing(asked, answers)
		},
	})
}

// Plugin is a plugin that at least one replica serves.
type Plugin struct {
	// ID is what it is called by.
	ID string
	// Name, Version and Description are those of its manifest.
	Name, Version, Description string
	// Capabilities are those of its manifest.
	Capabilities []string
	// Replicas are the identities of those that serve it.
	Replicas []string
}

// Plugins returns the plugins that can be called and have a capability, or all
// for an empty one, in the order of their ids. No replica is ErrNoReplica.
func (c *Client) Plugins(ctx context.Context, capability string) ([]Plugin, error) {
	lists, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	return callable(Merge(lists), capability), nil
}

// callable are the plugins of a list that can be called and have a capability, or all for an empty one.
func callable(listed []Listed, capability string) []Plugin {
	plugins := []Plugin{}
	for _, p := range listed {
		if p.State != subjects.StateReady || capability != "" && !slices.Contains(p.Capabilities, capability) {
			continue
		}
		var serving []string
		for replica, state := range p.Replicas {
			if state == subjects.StateReady {
				serving = append(serving, replica)
			}
		}
		slices.Sort(serving)
		plugins = append(plugins, Plugin{
			ID: p.ID, Name: p.Name, Version: p.Version, Description: p.Description, Capabilities: p.Capabilities, Replicas: serving,
		})
	}
	return plugins
}

// maxAnswers bounds how many replicas are listened to.
const maxAnswers = 1000

// gathering says how the answers to a control request are collected.
type gathering[T any] struct {
	header func(T) subjects.Header
	// enough is asked after each answer. Defaults to: as many as are alive.
	enough func(answers []T) bool
	// goOn is asked when the time for answers is over. Defaults to no.
	goOn func(answers []T) bool
}

// patience returns how much longer answers are waited for each time that the time for them is
// over, which is pause at first; 0 is no longer. Of an answer that was refused nil is none.
func (g gathering[T]) patience(pause time.Duration) func(answers []T, refused error) time.Duration {
	patient := false
	return func(answers []T, refused error) time.Duration {
		switch {
		case len(answers) == 0 && refused == nil && !patient:
			patient = true
			return busyPatience
		case g.goOn != nil && g.goOn(answers):
			return pause
		default:
			return 0
		}
	}
}

// gather collects the answers of all replicas to a control request, in the order
// of their identities.
func gather[T any](ctx context.Context, c *Client, subject string, g gathering[T]) ([]T, error) {
	if g.enough == nil {
		g.enough = func(answers []T) bool { return len(answers) >= g.header(answers[len(answers)-1]).Replicas }
	}
	subscription, err := c.askAll(subject)
	if err != nil {
		return nil, err
	}
	defer func() { _ = subscription.Unsubscribe() }()
	var answers []T
	var refused error // that of a replica which has too many to answer, or none
	over := time.Now().Add(c.gather)
	goesOn := g.patience(c.gather)
	for len(answers) < maxAnswers {
		msg, err := nextMsg(ctx, subscription, over)
		if errors.Is(err, nats.ErrNoResponders) || err == nil && isNoResponders(msg) {
			return nil, ErrNoReplica
		}
		if errors.Is(err, context.DeadlineExceeded) {
			more := goesOn(answers, refused)
			if ctx.Err() != nil || more == 0 {
				break // whoever has not answered by now does not
			}
			over = time.Now().Add(more)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", subject, err)
		}
		if err := failureOf(msg); err != nil {
			refused = err
			continue
		}
		var answer T
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			continue // of another version; the others still tell
		}
		answers = append(answers, answer)
		if g.enough(answers) {
			break
		}
	}
	if len(answers) == 0 {
		return nil, c.noAnswer(subject, refused)
	}
	slices.SortFunc(answers, func(a, b T) int { return compareReplicas(g.header(a), g.header(b)) })
	return answers, nil
}

// compareReplicas orders answers by the identities of replicas.
func compareReplicas(a, b subjects.Header) int { return strings.Compare(a.Replica, b.Replica) }

// noAnswer says why nobody has answered; refused is what a replica has refused it with, or nil.
func (c *Client) noAnswer(subject string, refused error) error {
	if refused != nil {
		return fmt.Errorf("%s: %w", subject, refused)
	}
	if said := c.conn.LastError(); errors.Is(said, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; the server has refused something: %w", ErrNoAnswer, said)
	}
	return ErrNoAnswer
}

// askAll sends a control request; the caller unsubscribes from the answers.
func (c *Client) askAll(subject string) (*nats.Subscription, error) {
	if err := c.connected(); err != nil {
		return nil, err
	}
	inbox := c.conn.NewInbox()
	subscription, err := c.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	err = c.conn.PublishRequest(subject, inbox, nil)
	if err == nil {
		return subscription, nil
	}
	_ = subscription.Unsubscribe()
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // lost since, and nats.go keeps nothing
		return nil, lost(nats.ErrConnectionReconnecting)
	}
	return nil, fmt.Errorf("%s: %w", subject, err)
}

func nextMsg(ctx context.Context, subscription *nats.Subscription, over time.Time) (*nats.Msg, error) {
	ctx, cancel := context.WithDeadline(ctx, over)
	defer cancel()
	return subscription.NextMsgWithContext(ctx)
}

func isNoResponders(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get("Status") == "503"
}

// whyNobody explains why no replica took a call. Only the reason is asked for,
// so its own failure is told in its place.
func (c *Client) whyNobody(ctx context.Context, id string) error {
	infos, err := c.Info(ctx, id)
	reason := fmt.Sprintf("plugin %s is on no replica: put it into the plugins folder, or check the name with pluginhost plugin list", id)
	switch {
	case err != nil && ctx.Err() != nil: // nobody is asked any more
		reason = fmt.Sprintf("no replica serves plugin %s", id)
	case err != nil:
		reason = err.Error()
	}
	for _, info := range infos {
		if info.Plugin == nil {
			continue
		}
		switch info.Plugin.State {
		case subjects.StateFailed:
			reason = fmt.Sprintf("plugin %s failed on %s: %s", id, info.Replica, info.Plugin.Error)
		case subjects.StateInitialising:
			reason = fmt.Sprintf("plugin %s is initialising on %s", id, info.Replica)
		case subjects.StateReady:
			reason = fmt.Sprintf("plugin %s has just become ready on %s: try again", id, info.Replica)
		}
	}
	return &nobodyError{subjects.Errorf(subjects.ErrUnavailable, "%s", reason)}
}

// nobodyError is an unavailable plugin that asking again does not help.
type nobodyError struct{ failure *subjects.Error }

func (e *nobodyError) Error() string { return e.failure.Error() }

func (e *nobodyError) Unwrap() []error { return []error{e.failure, errAtOnce} }
