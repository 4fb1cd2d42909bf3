package reloads

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// Sizes say how much there is to do.
type Sizes struct {
	// Reloads is how many are counted. In every eight there is one in which the
	// new version is broken, one in which the configuration changes and not the
	// file, and one of a plugin compiled from Go.
	Reloads int
	// WarmUp is how many are made before, after which what is used is measured.
	WarmUp int
	// Callers is how many call all the time; one in four calls the plugin compiled
	// from Go.
	Callers int
	// Spare is what may be used more of at the end.
	Spare usage.Usage
	// Seed decides what follows what.
	Seed uint64
	// Progress, if it is not nil, is told how many reloads are done.
	Progress func(done, all int)
}

const (
	// patience is a time that nothing here needs.
	patience = time.Minute
	// biography is the method that is called.
	biography = "get_artist_biography"
)

// Result is what came of many reloads.
type Result struct {
	// Reloads is how many there were of each sort.
	Reloads map[string]int
	// Calls is how many calls were answered, Failed how many were not, or not as
	// they must.
	Calls, Failed int64
	// Seen is how many calls each version of the plugin has answered.
	Seen   [2]int64
	Took   time.Duration
	Before usage.Usage
	After  usage.Usage
	Faults []string
}

// soak is reloads that are being made.
type soak struct {
	sizes   Sizes
	host    *replica.Replica
	client  *client.Client
	random  *rand.Rand
	current int // the version that serves
	made    int // reloads, of all sorts

	calls, failed atomic.Int64
	seen          [2]atomic.Int64
	faults        report.Faults
}

// Run makes the reloads on a replica that has what Install adds, until they are
// done or ctx is over.
func Run(ctx context.Context, host *replica.Replica, sizes Sizes) (Result, error) {
	conn, err := nats.Connect(host.URL())
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	s := &soak{
		sizes: sizes, host: host, random: rand.New(rand.NewPCG(sizes.Seed, 0)),
		client: client.New(conn, client.WithResends(0)), // which would hide a refusal
	}
	s.underLoad(ctx, sizes.WarmUp)
	s.calm(ctx)
	result := Result{Before: usage.Measure()}
	s.calls.Store(0)
	s.seen[0].Store(0)
	s.seen[1].Store(0)
	start := time.Now()
	result.Reloads = s.underLoad(ctx, sizes.Reloads)
	result.Took = time.Since(start)
	s.calm(ctx)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/2)
	defer cancel()
	var grown []string
	result.After, grown = usage.Settle(settling, result.Before, sizes.Spare)
	s.faults.Add(grown...)
	result.Calls, result.Failed = s.calls.Load(), s.failed.Load()
	for i := range s.seen {
		if result.Seen[i] = s.seen[i].Load(); result.Seen[i] == 0 && ctx.Err() == nil {
			s.faults.Addf("version %d has answered no call", i+1)
		}
	}
	result.Faults = s.faults.List()
	return result, nil
}

// calm leaves one instance of each plugin: how many there are after a load is
// chance.
func (s *soak) calm(ctx context.Context) {
	for _, id := range []string{agent, compiled} {
		if err := s.host.Refresh(context.WithoutCancel(ctx), id); err != nil {
			s.faults.Addf("%s: %v", id, err)
		}
	}
}

// underLoad makes reloads while callers call, and returns how many there were of
// each sort.
func (s *soak) underLoad(ctx context.Context, reloads int) map[string]int {
	calling, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for i := range s.sizes.Callers {
		callers.Go(func() {
			for n := 0; calling.Err() == nil; n++ {
				name := fmt.Sprintf("caller %d call %d", i, n)
				var err error
				if i%4 == 3 {
					err = s.callCompiled(context.WithoutCancel(ctx), name)
				} else {
					err = s.callAgent(context.WithoutCancel(ctx), name)
				}
				s.calls.Add(1)
				if err != nil {
					s.failed.Add(1)
					s.faults.Addf("%s: %v", name, err)
				}
			}
		})
	}
	made := make(map[string]int)
	for i := 0; i < reloads && ctx.Err() == nil; i++ {
		what, err := s.reload(context.WithoutCancel(ctx), s.made)
		if made[what]++; err != nil {
			s.faults.Addf("reload %d, %s: %v", s.made, what, err)
		}
		s.made++
		if s.sizes.Progress != nil && reloads == s.sizes.Reloads {
			s.sizes.Progress(i, reloads)
		}
	}
	stop()
	callers.Wait()
	return made
}

// callAgent makes a call that either version may answer.
func (s *soak) callAgent(ctx context.Context, name string) error {
	got, err := s.call(ctx, agent, []byte(name))
	if err != nil {
		return err
	}
	for i, version := range versions() {
		if string(got) == version.answer(name) {
			s.seen[i].Add(1)
			return nil
		}
	}
	return fmt.Errorf("got %.80q, which no version answers", got)
}

func (s *soak) callCompiled(ctx context.Context, name string) error {
	request, err := (&api.ArtistBiographyRequest{Name: name}).MarshalVT()
	if err != nil {
		return err
	}
	got, err := s.call(ctx, compiled, request)
	if err != nil {
		return err
	}
	var response api.ArtistBiographyResponse
	if err := response.UnmarshalVT(got); err != nil || response.Biography != "biography of "+name {
		return fmt.Errorf("got %.80q, %w", got, err)
	}
	return nil
}

func (s *soak) call(ctx context.Context, id string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.client.Call(ctx, id, biography, request)
}

// reload makes the reload of that number and says of which sort it is.
func (s *soak) reload(ctx context.Context, number int) (what string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch number % 8 {
	case 3:
		return "another configuration", s.reconfigure(ctx, number)
	case 5:
		return "a broken version", s.breakIt(ctx, number)
	case 7:
		return "a plugin compiled from Go", s.refresh(ctx, compiled)
	default:
		return "another version", s.change(ctx)
	}
}

// change puts the other version in place.
func (s *soak) change(ctx context.Context) error {
	s.current = 1 - s.current
	if err := replace(s.host.Config().Plugins.Folder, versions()[s.current].wasm); err != nil {
		return err
	}
	return errors.Join(s.refresh(ctx, agent), s.serves(ctx))
}

// refresh asks for a reload, on the bus or directly.
func (s *soak) refresh(ctx context.Context, id string) error {
	if s.random.IntN(2) == 0 {
		return s.host.Refresh(ctx, id)
	}
	answers, err := s.client.Refresh(ctx, id)
	if err != nil {
		return err
	}
	if len(answers) != 1 || answers[0].Outcome != subjects.OutcomeLoaded {
		return fmt.Errorf("the replica answers %+v", answers)
	}
	return nil
}

// serves says whether the version that should serve does.
func (s *soak) serves(ctx context.Context) error {
	const request = "which version"
	want := versions()[s.current].answer(request)
	got, err := s.call(ctx, agent, []byte(request))
	if err == nil && string(got) != want {
		err = fmt.Errorf("version %d should serve, but got %q", s.current+1, got)
	}
	return err
}

// breakIt puts a version in place that cannot be loaded, then the one again that
// must have gone on serving.
func (s *soak) breakIt(ctx context.Context, number int) error {
	folder := s.host.Config().Plugins.Folder
	if err := replace(folder, broken()[number/8%2]); err != nil {
		return err
	}
	if err := s.host.Refresh(ctx, agent); err == nil {
		return errors.New("it was loaded")
	}
	if err := s.serves(ctx); err != nil {
		return err
	}
	if err := replace(folder, versions()[s.current].wasm); err != nil {
		return err
	}
	return s.host.Refresh(ctx, agent)
}

// reconfigure changes what applies to the plugins: entries of one or limits of
// both.
func (s *soak) reconfigure(ctx context.Context, number int) error {
	config := s.host.Config()
	want := []string{agent}
	if number/8%2 == 0 {
		config.PluginConfig = maps.Clone(config.PluginConfig)
		if config.PluginConfig == nil {
			config.PluginConfig = make(map[string]map[string]string)
		}
		config.PluginConfig[agent] = map[string]string{"number": fmt.Sprint(number)}
	} else {
		config.Runtime.MaxConcurrent = 10 + number%100
		want = []string{agent, compiled}
	}
	changed, err := s.host.Reconfigure(ctx, config)
	if err != nil {
		return err
	}
	if !slices.Equal(changed.Loaded, want) || len(changed.Failed) > 0 || len(changed.Restart) > 0 {
		return fmt.Errorf("the replica says %+v, want %v loaded", changed, want)
	}
	return s.serves(ctx)
}

// Bad lists what is not good.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var t report.Table
	t.Row("reload", "made")
	all := 0
	for _, what := range slices.Sorted(maps.Keys(r.Reloads)) {
		t.Row(what, r.Reloads[what])
		all += r.Reloads[what]
	}
	t.Row("all", all, fmt.Sprintf("in %.1f s", r.Took.Seconds()))
	return t.String() + fmt.Sprintf("\ncalls meanwhile: %d, failed: %d, answered by version 1: %d, by version 2: %d\n\n",
		r.Calls, r.Failed, r.Seen[0], r.Seen[1]) + report.BeforeAfter(r.Before, r.After)
}
