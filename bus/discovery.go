package bus

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// Description is what discovery tells about a plugin.
type Description struct {
	// Version is the manifest's; Text its description.
	Version, Text string
	// Methods are the names on the bus of the methods it serves.
	Methods []string
	// Metadata is anything else worth knowing.
	Metadata map[string]string
}

// registry holds the endpoints that discovery tells about.
type registry struct {
	mu        sync.Mutex
	endpoints map[*Endpoint]struct{}
}

func newRegistry() *registry { return &registry{endpoints: make(map[*Endpoint]struct{})} }

func (r *registry) add(e *Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endpoints[e] = struct{}{}
}

func (r *registry) remove(e *Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.endpoints, e)
}

func (r *registry) all() []*Endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Keys(r.endpoints), func(a, b *Endpoint) int { return strings.Compare(a.config.ID, b.config.ID) })
}

// Discovery answers $SRV.PING, INFO and STATS for all endpoints of a Bus: each
// plugin on each replica is one service instance (ADR-32). The micro package of
// nats.go cannot remove an endpoint, so its JSON types are all we take of it.
type Discovery struct {
	subscriptions []*nats.Subscription
}

// StartDiscovery subscribes to the discovery subjects. The caller stops it.
func (b *Bus) StartDiscovery() (*Discovery, error) {
	d := &Discovery{}
	for verb, document := range map[string]func(*Endpoint) any{
		"PING":  func(e *Endpoint) any { return e.ping() },
		"INFO":  func(e *Endpoint) any { return e.info() },
		"STATS": func(e *Endpoint) any { return e.microStats() },
	} {
		budget := newBudget()
		for _, subject := range []string{"$SRV." + verb, "$SRV." + verb + ".*", "$SRV." + verb + ".*.*"} {
			s, err := b.control.subscribe(subject, "", func(msg *nats.Msg) { b.discover(msg, budget, document) })
			if err != nil {
				return nil, errors.Join(err, d.Stop())
			}
			d.subscriptions = append(d.subscriptions, s)
		}
	}
	if err := b.flushControl("discovery"); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

// Stop answers no more requests.
func (d *Discovery) Stop() error { return unsubscribeAll(d.subscriptions) }

func unsubscribeAll(subscriptions []*nats.Subscription) error {
	var errs []error
	for _, s := range subscriptions {
		if err := s.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// discover answers one request for each endpoint that it means.
func (b *Bus) discover(msg *nats.Msg, budget *budget, document func(*Endpoint) any) {
	if !subjects.MayReply(msg.Reply) {
		return
	}
	if err := cmp.Or(natswire.RefusedError(msg.Header), budget.check()); err != nil {
		b.refuse(msg, err)
		return
	}
	defer budget.spend(time.Now())
	tokens := strings.Split(msg.Subject, ".")
	for _, e := range b.services.all() {
		if len(tokens) > 2 && tokens[2] != serviceName(e.config.ID) || len(tokens) > 3 && tokens[3] != e.instance {
			continue
		}
		body, err := json.Marshal(document(e))
		if err == nil {
			err = msg.Respond(body)
		}
		if err != nil {
			b.config.Logger.Warn("discovery request could not be answered", "subject", msg.Subject, "error", err)
		}
	}
}

func (e *Endpoint) identity(d Description) micro.ServiceIdentity {
	metadata := map[string]string{"plugin": e.config.ID, "replica": e.config.Replica}
	maps.Copy(metadata, d.Metadata)
	version := d.Version
	if !semver.MatchString(version) {
		metadata["version"] = version
		version = "0.0.0"
	}
	return micro.ServiceIdentity{Name: serviceName(e.config.ID), ID: e.instance, Version: version, Metadata: metadata}
}

// semver is the pattern of ADR-32, which is that of semver.org.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

func (e *Endpoint) ping() micro.Ping {
	return micro.Ping{ServiceIdentity: e.identity(e.config.Describe()), Type: micro.PingResponseType}
}

func (e *Endpoint) info() micro.Info {
	d := e.config.Describe()
	info := micro.Info{ServiceIdentity: e.identity(d), Type: micro.InfoResponseType, Description: d.Text, Endpoints: []micro.EndpointInfo{}}
	for _, method := range d.Methods {
		info.Endpoints = append(info.Endpoints, micro.EndpointInfo{
			Name: method, Subject: subjects.Call(e.config.ID, method), QueueGroup: subjects.QueueGroup,
		})
	}
	return info
}

func (e *Endpoint) microStats() micro.Stats {
	d := e.config.Describe()
	stats := micro.Stats{ServiceIdentity: e.identity(d), Type: micro.StatsResponseType, Started: e.started, Endpoints: []*micro.EndpointStats{}}
	for _, method := range d.Methods {
		var counts call.MethodStats
		if e.config.Stats != nil {
			counts = e.config.Stats.Of(method)
		}
		endpoint := &micro.EndpointStats{
			Name: method, Subject: subjects.Call(e.config.ID, method), QueueGroup: subjects.QueueGroup,
			NumRequests: counts.Requests, NumErrors: counts.Errors, LastError: counts.LastError, ProcessingTime: counts.Time,
		}
		if counts.Requests > 0 {
			endpoint.AverageProcessingTime = counts.Time / time.Duration(counts.Requests)
		}
		stats.Endpoints = append(stats.Endpoints, endpoint)
	}
	return stats
}

// serviceName is the plugin's id where ADR-32 allows it as a name, otherwise
// what of it is allowed and a hash that keeps it unique.
func serviceName(id string) string {
	if id != "" && !strings.ContainsFunc(id, unfit) {
		return id
	}
	clean := strings.Map(func(r rune) rune {
		if unfit(r) {
			return '-'
		}
		return r
	}, id)
	return clean + "-" + subjects.Hash(id)[:8]
}

// unfit says whether ADR-32 forbids r in a name.
func unfit(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// instanceID is unique for a plugin on a replica, and the same after a reload.
func instanceID(replica, id string) string { return subjects.Hash(replica + "\x00" + id)[:22] }
