package floods

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
)

// The plugins that Install adds.
const (
	flooded   = "flooded"   // returns every request
	bystander = "bystander" // the same
	asking    = "asking"    // asks Navidrome
	ticking   = "ticking"   // has a schedule
)

// user is whom the plugin asks Navidrome for.
const user = "listener"

// Install adds the plugins to the folder of a replica that is yet to start, and returns
// what hears when the schedule fires.
func Install(t testing.TB, host *config.Config) *journal.Journal {
	t.Helper()
	folder := host.Plugins.Folder
	for _, id := range []string{flooded, bystander} {
		testenv.AddPlugin(t, folder, id, testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	}
	reason := map[string]any{"reason": "test"}
	testenv.AddPlugin(t, folder, asking, testenv.Manifest(map[string]any{
		"cache": reason, "artwork": reason, "subsonicapi": map[string]any{"reason": "test", "allowedUsernames": []string{user}},
	}, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Services))
	testenv.AddPlugin(t, folder, ticking, journal.Manifest(), guests.Wasm(t, guests.Stateful))
	fires := journal.Start(t, func(event journal.Event) ([]journal.Command, error) {
		if event.Event == "init" {
			return []journal.Command{{Do: "every", ID: []byte("tick"), Expression: "@every 1s"}}, nil
		}
		return nil, nil
	})
	host.PluginConfig = map[string]map[string]string{ticking: {"journal": fires.URL()}}
	host.Navidrome.Subsonic = config.SubsonicBus
	return fires
}

// MaxPayload is what the NATS server must take, in bytes.
const MaxPayload = 8 << 20

// Sizes say how much there is to do.
type Sizes struct {
	// Duration is how long each flood lasts.
	Duration time.Duration
	// Messages are the sizes of the messages, in bytes, each of them a flood of headers
	// and one of bodies.
	Messages []int
	// Rate is how much is sent at the most, in bytes a second.
	Rate float64
	// Worst is what a call of another plugin may take at the most; 0 is patience.
	Worst time.Duration
	// Progress, if it is not nil, is told how many floods are over.
	Progress func(done, all int)
}

const (
	// pace is how often the other plugin is called.
	pace = 20 * time.Millisecond
	// patience is a time that nothing here needs.
	patience = 10 * time.Second
	// biography is the method that is called.
	biography = "get_artist_biography"
)

// Result is what came of it.
type Result struct {
	Floods []FloodResult
	// LostLeads, SlowConsumers and Missed are how often the replica stopped to lead, the
	// server or the replica had more for somebody than they keep, and a fire was missed.
	LostLeads, SlowConsumers, Missed int
	Fires                            int
	Faults                           []string
}

// FloodResult is what one flood cost.
type FloodResult struct {
	What string
	Sent int64 // bytes
	Took time.Duration
	// Bystander is how long calls of another plugin took meanwhile.
	Bystander report.Latency
	Fires     int
}

// soak is floods.
type soak struct {
	sizes  Sizes
	url    string
	conn   *nats.Conn
	client *client.Client
	fires  *journal.Journal
	faults report.Faults
}

// Run sends the floods to a replica that has what Install adds, and its NATS server, until
// they are done or ctx is over.
func Run(ctx context.Context, host *replica.Replica, s *server.Server, fires *journal.Journal, sizes Sizes) (result Result, err error) {
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		return result, err
	}
	defer conn.Close()
	f := &soak{sizes: sizes, url: s.ClientURL(), conn: conn, client: client.New(conn, client.WithResends(0)), fires: fires}
	slow := s.NumSlowConsumers()
	lost, err := conn.SubscribeSync("pluginhost.event." + string(subjects.EventLeaderLost) + ".>")
	if err != nil {
		return result, err
	}
	missed, err := conn.SubscribeSync("pluginhost.event." + string(subjects.EventScheduleMissed) + ".>")
	if err != nil {
		return result, err
	}
	inbox, err := f.navidromeInbox(ctx)
	if err != nil {
		return result, err
	}
	var floods []flood
	for _, size := range sizes.Messages {
		for _, headers := range []bool{true, false} {
			for _, to := range []struct{ what, subject string }{
				{"a plugin", subjects.Call(flooded, biography)}, {"ctl.info", subjects.ControlInfo(flooded)},
				{"ctl.list", subjects.ControlList}, {"$SRV.PING", "$SRV.PING"}, {"answers of Navidrome", inbox},
			} {
				floods = append(floods, flood{what: to.what, subject: to.subject, size: size, headers: headers})
			}
		}
	}
	for i, flood := range floods {
		if ctx.Err() != nil {
			break
		}
		result.Floods = append(result.Floods, f.suffer(ctx, flood))
		if sizes.Progress != nil {
			sizes.Progress(i+1, len(floods))
		}
	}
	result.Fires = len(fires.Of("fire"))
	result.LostLeads, _, err = lost.Pending()
	more, _, failed := missed.Pending()
	result.Missed = more
	result.SlowConsumers = int(s.NumSlowConsumers()-slow) + int(host.Status().SlowConsumers)
	for what, n := range map[string]int{"the lead was lost %d times": result.LostLeads, "there were %d slow consumers": result.SlowConsumers, "%d fires were missed": result.Missed} {
		if n > 0 {
			f.faults.Addf(what, n)
		}
	}
	result.Faults = f.faults.List()
	return result, errors.Join(err, failed)
}

// navidromeInbox is where the replica takes the answers of Navidrome.
func (s *soak) navidromeInbox(ctx context.Context) (string, error) {
	asked, err := s.conn.SubscribeSync(subjects.NavidromeSubsonic)
	if err != nil {
		return "", err
	}
	defer func() { _ = asked.Unsubscribe() }()
	if err := s.conn.Flush(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var calling sync.WaitGroup
	defer calling.Wait()
	calling.Go(func() {
		_ = s.client.Scrobbler(asking).Scrobble(ctx, client.User{Name: user}, &api.TrackInfo{Id: "1"}, time.Time{})
	})
	request, err := asked.NextMsgWithContext(ctx)
	if err != nil {
		return "", fmt.Errorf("a plugin that asks Navidrome: %w", err)
	}
	return request.Reply, request.Respond([]byte("{}"))
}

// suffer calls the other plugin during a flood.
func (s *soak) suffer(ctx context.Context, f flood) FloodResult {
	kind := "bodies"
	if f.headers {
		kind = "headers"
	}
	result := FloodResult{What: fmt.Sprintf("%s of %.0f MB to %s", kind, float64(f.size)/(1<<20), f.what)}
	before, start := len(s.fires.Of("fire")), time.Now()
	flooding, cancel := context.WithTimeout(ctx, s.sizes.Duration)
	defer cancel()
	var pouring sync.WaitGroup
	pouring.Go(func() {
		var err error
		if result.Sent, err = f.pour(flooding, s.url, s.sizes.Rate); err != nil && ctx.Err() == nil {
			s.faults.Addf("%s: %v", result.What, err)
		}
	})
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var took []time.Duration
	for flooding.Err() == nil {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, patience)
		_, err := s.client.CallJSON(call, bystander, biography, []byte(`{}`), 0)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.faults.Addf("%s: a call of another plugin: %v", result.What, err)
		}
		took = append(took, time.Since(asked))
		select {
		case <-ticker.C:
		case <-flooding.Done():
		}
	}
	pouring.Wait()
	result.Took, result.Bystander, result.Fires = time.Since(start), report.LatencyOf(took), len(s.fires.Of("fire"))-before
	if worst := result.Bystander.Longest; s.sizes.Worst > 0 && worst > s.sizes.Worst && ctx.Err() == nil {
		s.faults.Addf("%s: a call of another plugin took %v, the limit is %v", result.What, worst, s.sizes.Worst)
	}
	return result
}

// Bad implements the soak's outcome.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var table report.Table
	table.Row("flood", "MB/s", "calls of another plugin", "fires")
	for _, f := range r.Floods {
		table.Row(f.What, fmt.Sprintf("%.0f", float64(f.Sent)/(1<<20)/max(f.Took.Seconds(), 1e-9)), f.Bystander, f.Fires)
	}
	return fmt.Sprintf("%s\nlost leads %d, slow consumers %d, missed fires %d of %d\n", table.String(), r.LostLeads, r.SlowConsumers, r.Missed, r.Fires+r.Missed)
}
