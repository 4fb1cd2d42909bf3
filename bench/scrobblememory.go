package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// heldUsers is of how many users the plays are that are held, and portion how many plays are published before they are
	// waited for.
	heldUsers = 1000
	portion   = 10_000
	// rest is how long nothing is written before memory is looked at: the server has given up by then what it keeps of files
	// that were written or read lately, the last of it after somewhat more than two minutes.
	rest = 3 * time.Minute
)

// held is how much something has before and after so many plays.
type held struct {
	plays         int
	before, after used
}

// used is what a process has, in bytes: resident memory and, of the NATS server, what is in use of that once garbage is
// collected, and the files of the stream of queues.
type used struct{ resident, live, disk int64 }

// What is shown of memory.
var (
	heldPlays    = quantity{key: "plays", title: "plays", format: count, of: func(s sample) float64 { return float64(s.held.plays) }}
	heldBefore   = quantity{key: "before_bytes", title: "before", format: megabytes, of: func(s sample) float64 { return float64(s.held.before.resident) }}
	heldAfter    = quantity{key: "after_bytes", title: "after", format: megabytes, of: func(s sample) float64 { return float64(s.held.after.resident) }}
	heldGrowth   = quantity{key: "growth_bytes", title: "growth", format: megabytes, of: func(s sample) float64 { return float64(s.held.after.resident - s.held.before.resident) }}
	heldResident = perMillion("resident", "resident per million", func(u used) int64 { return u.resident })
	heldLive     = perMillion("live", "in use per million", func(u used) int64 { return u.live })
	heldDisk     = perMillion("disk", "disk per million", func(u used) int64 { return u.disk })
)

// perMillion is by how much something grows for a million plays.
func perMillion(key, title string, of func(used) int64) quantity {
	return quantity{key: key + "_bytes_per_million", title: title, format: megabytes, of: func(s sample) float64 {
		return float64(of(s.held.after)-of(s.held.before)) / float64(s.held.plays) * 1e6
	}}
}

func megabytes(v, _ float64) (number, unit string) {
	return strconv.FormatFloat(v/1e6, 'f', 1, 64), " MB"
}

// memorySection measures what plays cost that wait, and those that have been delivered.
func memorySection() section {
	return section{
		name: "scrobble-memory", title: fmt.Sprintf("Memory and disk of plays of %d users that wait for a plugin, and of the marks of those that have been delivered", heldUsers),
		shows: []quantity{heldPlays, heldBefore, heldAfter, heldGrowth, heldResident, heldLive, heldDisk, playRate},
		run: func(ctx context.Context, b *bench) ([]*row, error) {
			if b.plan.quick {
				return measureHeld(ctx, b, min(b.plan.plays, 50_000), heldUsers, rest/10)
			}
			return measureHeld(ctx, b, b.plan.plays, heldUsers, rest)
		},
	}
}

// measureHeld has plays wait for a plugin that takes none and, on another NATS server, has plays and then their marks stored as
// deliveries do, with nobody delivering. What that costs is looked at after a rest.
func measureHeld(ctx context.Context, b *bench, plays, users int, rest time.Duration) (_ []*row, err error) {
	var holdings []*holding
	defer func() {
		for _, h := range holdings {
			err = errors.Join(err, h.close())
		}
	}()
	for _, name := range []string{"queued", "marked"} {
		h, err := b.openHolding(ctx, name, plays)
		if err != nil {
			return nil, err
		}
		holdings = append(holdings, h)
	}
	queued, marked := holdings[0], holdings[1]
	begin := time.Now()
	if err := queued.queue(ctx, plays, users); err != nil {
		return nil, err
	}
	elapsed := time.Since(begin)
	for first := 0; first < plays; first += portion {
		if err := marked.mark(ctx, first, min(portion, plays-first), users); err != nil {
			return nil, err
		}
	}
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for _, h := range holdings {
		if h.ofReplica.after, h.ofServer.after, err = h.measure(ctx); err != nil {
			return nil, err
		}
	}
	return []*row{
		{
			name: "replica, plays that wait", shows: []quantity{heldPlays, heldBefore, heldAfter, heldGrowth},
			aims: []aim{{of: heldGrowth, bound: 64e6}}, samples: []sample{{held: queued.ofReplica}},
		},
		{name: "NATS server, plays that wait", samples: []sample{{calls: plays, elapsed: elapsed, held: queued.ofServer}}},
		{
			name: "NATS server, marks", shows: []quantity{heldPlays, heldBefore, heldAfter, heldGrowth, heldResident, heldLive, heldDisk},
			samples: []sample{{held: marked.ofServer}},
		},
	}, nil
}

// holding is a NATS server and a replica with a plugin that takes no plays, each in a process of its own.
type holding struct {
	server, replica *process
	files           string // folder of the stream of queues
	profiles        string // address of the server's profiles
	conn            *nats.Conn
	js              jetstream.JetStream
	plays           jetstream.Stream

	ofReplica, ofServer held
}

// openHolding starts both, and measures what they have without plays. The caller closes it.
func (b *bench) openHolding(ctx context.Context, name string, plays int) (_ *holding, err error) {
	dir := filepath.Join(b.dir, name)
	h := &holding{files: filepath.Join(dir, "nats", "jetstream", "$G", "streams", subjects.PlayStream)}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if err := addPlugin(filepath.Join(dir, "plugins"), pluginTaker, scrobbler, takesNone()); err != nil {
		return nil, err
	}
	url, err := h.startServer(ctx, b, dir)
	if err != nil {
		return nil, err
	}
	if err := h.startReplica(ctx, b, dir, url); err != nil {
		return nil, err
	}
	if h.conn, err = nats.Connect(url); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if h.js, err = jetstream.New(h.conn); err != nil {
		return nil, err
	}
	if h.plays, err = h.js.Stream(ctx, subjects.PlayStream); err != nil {
		return nil, err
	}
	h.ofReplica.plays, h.ofServer.plays = plays, plays
	h.ofReplica.before, h.ofServer.before, err = h.measure(ctx)
	return h, err
}

func (h *holding) startServer(ctx context.Context, b *bench, dir string) (url string, err error) {
	file, err := b.program(ctx, "./testenv/natsserver")
	if err != nil {
		return "", err
	}
	settings := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nprof_port: -1\njetstream {\nstore_dir: %q\n}\n", filepath.Join(dir, "nats"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return "", err
	}
	h.server, url, err = startProcess(ctx, func(line string) bool { return strings.HasPrefix(line, "nats://") }, file, settings)
	if err != nil {
		return "", err
	}
	port, ok := h.server.line("profiling port: ")
	if !ok {
		return "", errors.New("the NATS server does not tell where its profiles are")
	}
	h.profiles = "http://127.0.0.1:" + port + "/debug/pprof/heap?gc=1&debug=1"
	return url, nil
}

func (h *holding) startReplica(ctx context.Context, b *bench, dir, url string) error {
	file, err := b.program(ctx, "./cmd/pluginhost")
	if err != nil {
		return err
	}
	settings := filepath.Join(dir, "pluginhost.toml")
	const room = "[Scrobbles]\nMaxQueue = 100_000_000\nMaxUser = 100_000_000\nMaxUnlinked = 100_000_000\n"
	if err := os.WriteFile(settings, []byte(room), 0o600); err != nil {
		return err
	}
	h.replica, _, err = startProcess(ctx, func(line string) bool { return strings.Contains(line, `"msg":"ready"`) }, file, "serve", "--json",
		"--config", settings, "--nats", url, "--http", "", "--data", filepath.Join(dir, "data"), "--plugins", filepath.Join(dir, "plugins"))
	return err
}

func (h *holding) close() error {
	var errs []error
	if h.conn != nil {
		h.conn.Close()
	}
	for _, p := range []*process{h.replica, h.server} {
		if p != nil {
			errs = append(errs, p.kill())
		}
	}
	return errors.Join(errs...)
}

// queue publishes plays, each once those before its portion are in the queues.
func (h *holding) queue(ctx context.Context, plays, users int) error {
	info, err := h.plays.Info(ctx)
	if err != nil {
		return err
	}
	there := info.State.Msgs
	for n := range plays {
		body, err := playOf(userName(n%users), int64(n)).MarshalVT()
		if err != nil {
			return err
		}
		if _, err := h.js.PublishAsync(subjects.Scrobble(pluginTaker), body, jetstream.WithStallWait(replyTimeout)); err != nil {
			return fmt.Errorf("publish a play: %w", err)
		}
		if published := n + 1; published%portion != 0 && published < plays {
			continue
		}
		err = await(ctx, "plays to be in their queues", func() (uint64, bool, error) {
			info, err := h.plays.Info(ctx)
			if err != nil {
				return 0, false, err
			}
			return info.State.Msgs, info.State.Msgs-there > uint64(n), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mark writes plays to the stream of queues, and then their marks.
func (h *holding) mark(ctx context.Context, first, plays, users int) error {
	var stored []jetstream.PubAckFuture
	subject := func(n int) string {
		user := userName(n % users)
		return subjects.Play(pluginTaker, subjects.UserKey(user, ""), subjects.PlayKey{User: user, Second: firstPlay + int64(n)}.ID())
	}
	for n := first; n < first+plays; n++ {
		msg, err := playMessage(subject(n), userName(n%users), int64(n))
		if err != nil {
			return err
		}
		ack, err := h.js.PublishMsgAsync(msg, jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithStallWait(replyTimeout))
		if err != nil {
			return fmt.Errorf("write a play: %w", err)
		}
		stored = append(stored, ack)
	}
	var marks []jetstream.PubAckFuture
	for i, ack := range stored {
		sequence, err := acknowledged(ctx, ack)
		if err != nil {
			return fmt.Errorf("write a play: %w", err)
		}
		msg, err := markMessage(subject(first+i), int64(first+i))
		if err != nil {
			return err
		}
		mark, err := h.js.PublishMsgAsync(msg, jetstream.WithExpectLastSequencePerSubject(sequence), jetstream.WithStallWait(replyTimeout))
		if err != nil {
			return fmt.Errorf("write a mark: %w", err)
		}
		marks = append(marks, mark)
	}
	for _, ack := range marks {
		if _, err := acknowledged(ctx, ack); err != nil {
			return fmt.Errorf("write a mark: %w", err)
		}
	}
	return nil
}

func acknowledged(ctx context.Context, ack jetstream.PubAckFuture) (uint64, error) {
	select {
	case stored := <-ack.Ok():
		return stored.Sequence, nil
	case err := <-ack.Err():
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// measure tells what both have.
func (h *holding) measure(ctx context.Context) (own, server used, err error) {
	if server.disk, err = sizeOf(h.files); err != nil {
		return own, server, err
	}
	if server.live, err = h.live(ctx); err != nil {
		return own, server, err
	}
	if server.resident, err = h.server.resident(); err != nil {
		return own, server, err
	}
	own.resident, err = h.replica.resident()
	return own, server, err
}

// live has the server collect its garbage, and returns what is left, in bytes.
func (h *holding) live(ctx context.Context) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.profiles, nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("profile of the NATS server: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "# HeapAlloc = "); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, errors.New("profile of the NATS server: it does not tell what is in use")
}

// sizeOf is how many bytes the files of a folder have. Files that go meanwhile have none.
func sizeOf(folder string) (size int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				size += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return size, err
}
