package memory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	apihttp "github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
)

// Sizes say how much there is to do.
type Sizes struct {
	// Duration is how long all attacks go on at once.
	Duration time.Duration
	// HostMemory is that of the replica, Limit what it may take in all, in bytes.
	HostMemory, Limit int64
	// Callers is how many call each plugin at once.
	Callers int
	// Lead says that the replica must keep its lead: it needs two processors for itself.
	Lead bool
	// Progress, if it is not nil, is told how much of the time is over.
	Progress func(done, all int)
}

// HostMemory in deploy/, and the limit there less what compiles plugins, in bytes.
const (
	DeployedHostMemory = 1_000_000_000
	DeployedLimit      = 1_600_000_000
)

const (
	biography = "get_artist_biography"
	// soon is the deadline of calls that never end by themselves, patience a time that no
	// good call needs.
	soon, patience = 3 * time.Second, 30 * time.Second
	// maxPayload is that of deploy/nats/nats.conf, in bytes.
	maxPayload = 4 << 20
	// download is how much the web site answers, in bytes.
	download = 10 << 20
)

// Result is what came of it.
type Result struct {
	// Peak is the most that was resident of the replica, Before what was when it was idle,
	// in bytes; 0 where the system does not tell.
	Before, Peak, Limit int64
	// Attacks counts the calls of each plugin that wants memory, by their codes; 0 is an
	// answer.
	Attacks map[string]map[int]int
	// Beside is how long the calls of the plugin took that is called meanwhile.
	Beside report.Latency
	Faults []string
}

// Text implements the soak's outcome.
func (r Result) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "resident at most %d MB of %d MB, %d MB before\n", r.Peak>>20, r.Limit>>20, r.Before>>20)
	fmt.Fprintf(&b, "a plugin of 16 MB meanwhile: %d calls, 50%% within %v, 99%% within %v, the longest %v\n", r.Beside.Count, r.Beside.P50, r.Beside.P99, r.Beside.Longest)
	for _, a := range attacks() {
		fmt.Fprintf(&b, "%-22s %v\n", a.name(), r.Attacks[a.name()])
	}
	return b.String()
}

// Bad implements the soak's outcome.
func (r Result) Bad() []string { return r.Faults }

// attack is one way to want memory.
type attack struct {
	plugin, method string
	what           string // of several at one plugin
	fewer          bool   // callers, whose bodies are long
	body           func(site string) []byte
}

func (a attack) name() string { return strings.TrimSpace(a.plugin + " " + a.what) }

func attacks() []attack {
	all := []attack{
		{stuffing, biography, "", false, nothing},
		{bloated, biography, "", false, nothing},
		{digging, biography, "", false, nothing},
		{fetching, biography, "", true, posted},
		{named, "scrobble", "small values", false, artists(49_000)},
		{named, "scrobble", "too many values", true, artists(1_300_000)},
		{named, "scrobble", "long values", true, func(string) []byte { return []byte(`{"userId":"` + strings.Repeat("x", 3<<20) + `"}`) }},
	}
	for _, id := range hogs() {
		all = append(all, attack{id, biography, "", false, nothing})
	}
	return all
}

func nothing(string) []byte { return nil }

// artists makes a body of so many small values.
func artists(n int) func(string) []byte {
	return func(string) []byte {
		return []byte(`{"track":{"artists":[` + strings.Repeat("{},", n-1) + `{}]}}`)
	}
}

// posted is a request of 3 MB to the web site.
func posted(site string) []byte {
	body, err := (&apihttp.HttpRequest{Url: site + "/", Body: make([]byte, 3<<20)}).MarshalVT()
	if err != nil {
		panic(err)
	}
	return body
}

// Run makes all attacks at once at a replica that it starts, for a while or until ctx is
// over.
func Run(ctx context.Context, t testing.TB, sizes Sizes) (Result, error) {
	t.Helper()
	content := make([]byte, download)
	site := httptest.NewServer(nethttpHandler(content))
	defer site.Close()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = maxPayload })
	process, err := start(t, url, site.URL, sizes)
	if err != nil {
		return Result{}, err
	}
	conn, err := nats.Connect(url)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	result := Result{Limit: sizes.Limit, Before: resident(process.PID(), "VmRSS"), Attacks: make(map[string]map[int]int)}
	s := &soak{client: client.New(conn, client.WithResends(0)), attacked: result.Attacks}
	for !process.Logged("this replica leads") && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // a process tells only by what it writes
	}
	during, cancel := context.WithTimeout(ctx, sizes.Duration)
	defer cancel()
	var running sync.WaitGroup
	for _, a := range attacks() {
		body := a.body(site.URL)
		callers := sizes.Callers
		if a.fewer {
			// What is under way to the replica must fit the pending bytes of a NATS server:
			// this is about memory.
			callers = min(callers, 3)
		}
		for range callers {
			running.Go(func() { s.attack(during, a, body) })
		}
	}
	result.Beside = s.callBystander(during, sizes)
	running.Wait()
	result.Peak = resident(process.PID(), "VmHWM")
	if result.Peak > sizes.Limit {
		s.faults.Addf("%d MB were resident, the limit is %d MB", result.Peak>>20, sizes.Limit>>20)
	}
	signs := []string{"fatal error", "host panic"}
	if sizes.Lead {
		signs = append(signs, "no longer leads")
	}
	for _, sign := range signs {
		if process.Logged(sign) {
			s.faults.Addf("the log of the replica says %q", sign)
		}
	}
	for _, a := range attacks() {
		if len(result.Attacks[a.name()]) == 0 && ctx.Err() == nil {
			s.faults.Addf("no call of %s came to an end", a.name())
		}
	}
	result.Faults = s.faults.List()
	return result, nil
}

func nethttpHandler(content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
}

// start runs a replica in a process of its own, with the memory of sizes.
func start(t testing.TB, url, site string, sizes Sizes) (*testenv.Process, error) {
	t.Helper()
	folder := t.TempDir()
	install(t, folder, site)
	file := filepath.Join(t.TempDir(), "memory.toml")
	settings := fmt.Sprintf("%s[Runtime]\nHostMemory = %d\n[HTTP]\nListen = \"\"\n", testenv.SharedCache, sizes.HostMemory)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	return testenv.StartProcess(t, "--config", file, "--nats", url, "--plugins", folder, "--data", t.TempDir()), nil
}

// resident is a line of a process's status, in bytes; 0 where the system does not tell.
func resident(pid int, line string) int64 {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for text := range strings.Lines(string(status)) {
		if key, value, _ := strings.Cut(text, ":"); key == line {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// soak is all attacks.
type soak struct {
	client *client.Client
	faults report.Faults

	mu       sync.Mutex
	attacked map[string]map[int]int
}

// attack calls a plugin that wants memory, one call after the other.
func (s *soak) attack(ctx context.Context, a attack, body []byte) {
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, soon)
		var err error
		if len(body) > 0 && body[0] == '{' {
			_, err = s.client.CallJSON(call, a.plugin, a.method, body, soon)
		} else {
			_, err = s.client.Call(call, a.plugin, a.method, body)
		}
		cancel()
		s.mu.Lock()
		if s.attacked[a.name()] == nil {
			s.attacked[a.name()] = make(map[int]int)
		}
		s.attacked[a.name()][code(err)]++
		s.mu.Unlock()
	}
}

// code is that of a failure on the wire, 0 for an answer and -1 for another failure.
func code(err error) int {
	var failure *subjects.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failure):
		return failure.Code()
	default:
		return -1
	}
}

// callBystander calls the plugin of 16 MB until ctx is over; every call must be answered.
func (s *soak) callBystander(ctx context.Context, sizes Sizes) report.Latency {
	var took []time.Duration
	begun := time.Now()
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		start := time.Now()
		answer, err := s.client.Call(call, bystander, biography, []byte("hello"))
		cancel()
		took = append(took, time.Since(start))
		if err != nil || string(answer) != "hello" {
			s.faults.Addf("a call of the bystander got %q, %v", answer, err)
		}
		if sizes.Progress != nil {
			sizes.Progress(int(time.Since(begun).Seconds()), int(sizes.Duration.Seconds()))
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return report.LatencyOf(took)
}
