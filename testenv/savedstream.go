package testenv

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// savedStream is what servers have on their disks of a stream, without its consumers.
type savedStream struct {
	t       testing.TB
	folders map[string]string // copies of folders
}

// saveStream copies what servers with these folders have of a stream now: its messages, and
// on a cluster the log in which the servers agree about them.
func saveStream(t testing.TB, conn *nats.Conn, stores []string, stream string) *savedStream {
	t.Helper()
	patterns := []string{filepath.Join("jetstream", "*", "streams", stream, "msgs")}
	if group := raftGroup(t, conn, stream); group != "" {
		patterns = append(patterns, filepath.Join("jetstream", "$SYS", "_js_", group))
	}
	saved := &savedStream{t: t, folders: make(map[string]string)}
	for _, store := range stores {
		for _, pattern := range patterns {
			folders, err := filepath.Glob(filepath.Join(store, pattern))
			if err != nil || len(folders) != 1 {
				t.Fatalf("%s of stream %s: %v, %v", pattern, stream, folders, err)
			}
			saved.folders[folders[0]] = filepath.Join(t.TempDir(), "saved")
			copyFolder(t, folders[0], saved.folders[folders[0]])
		}
	}
	return saved
}

// putBack puts the copies in the place of what there is. The servers must not run.
func (s *savedStream) putBack() {
	s.t.Helper()
	for folder, saved := range s.folders {
		if err := os.RemoveAll(folder); err != nil {
			s.t.Fatal(err)
		}
		copyFolder(s.t, saved, folder)
	}
}

// raftGroup is the name of the group of servers that have a stream; empty is that there is one
// server.
func raftGroup(t testing.TB, conn *nats.Conn, stream string) string {
	t.Helper()
	answer, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, startTimeout)
	var info struct {
		Cluster struct {
			RaftGroup string `json:"raft_group"`
		}
	}
	if err == nil {
		err = json.Unmarshal(answer.Data, &info)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Cluster.RaftGroup
}

// copyFolder copies a folder whose files may change and go meanwhile, as in a power cut.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if err := copyFile(path, filepath.Join(to, name)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// SaveStreams is that of NATSProcess for all servers.
func (c *NATSCluster) SaveStreams(streams ...string) (putBack func()) {
	c.t.Helper()
	return saveStreams(c.t, c.URL(), c.stores(), streams)
}

func saveStreams(t testing.TB, url string, stores, streams []string) (putBack func()) {
	t.Helper()
	conn, err := nats.Connect(url, nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var saved []*savedStream
	for _, stream := range streams {
		saved = append(saved, saveStream(t, conn, stores, stream))
	}
	return func() {
		for _, s := range saved {
			s.putBack()
		}
	}
}
