package overload

import (
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The plugins that Install adds.
const (
	worker    = "worker"    // works for a while; see its source
	bystander = "bystander" // returns every request
)

// work is what a worker is told to do: about a millisecond of it.
const work = 22

// biography is the method that is called.
const biography = "get_artist_biography"

// Record is the log of a replica. It finds the complaints of workers that began
// after their caller's deadline; what a guest writes is in the log, but for what is
// too much.
type Record struct {
	mu      sync.Mutex
	count   int
	longest time.Duration
}

// complaint is what a worker writes.
var complaint = regexp.MustCompile(`late by ([0-9a-zµ.]+)`)

// Write implements io.Writer.
func (r *Record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, found := range complaint.FindAllSubmatch(p, -1) {
		if late, err := time.ParseDuration(string(found[1])); err == nil {
			r.count++
			r.longest = max(r.longest, late)
		}
	}
	return len(p), nil
}

// late takes the number of complaints since the last time, and how late the latest
// was.
func (r *Record) late() (count int, longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count, longest = r.count, r.longest
	r.count, r.longest = 0, 0
	return count, longest
}

// Install adds the plugins to the folder of a replica that is yet to start, with
// a Record for its log.
func Install(t testing.TB, config *config.Config) *Record {
	t.Helper()
	manifest := testenv.Manifest(nil, "MetadataAgent")
	source := filepath.Join(guests.Root(), "testenv", "soak", "overload", "worker")
	wasm, err := os.ReadFile(guests.Compile(t, source))
	if err != nil {
		t.Fatal(err)
	}
	testenv.AddPlugin(t, config.Plugins.Folder, worker, manifest, wasm)
	testenv.AddPlugin(t, config.Plugins.Folder, bystander, manifest, guests.Handmade{Body: guests.Echo}.Bytes())
	return &Record{}
}
