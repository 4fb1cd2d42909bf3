package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

const (
	// roomMost is how much of its disk is to stay free for the embedded server, in bytes;
	// less on a small disk: a roomShare of it.
	roomMost  = 64 << 20
	roomShare = 20
	// restartPause is between two starts of JetStream of the embedded server.
	restartPause = 3 * cluster.Lease
)

// room is how many bytes are free on the embedded server's disk, and how many should be; ok
// is false if the system does not tell.
func (e *embeddedServer) room() (free, wanted int64, ok bool) {
	free, total, ok := diskSpace(e.storeDir)
	return free, min(roomMost, total/roomShare), ok
}

// cause says why the embedded server does not answer writes.
func (e *embeddedServer) cause(err error) string {
	text := fmt.Sprintf("the embedded NATS server does not answer them (%v)", err)
	if told := e.logger.last.Load(); told != nil {
		text = "the embedded NATS server says: " + excerpt.Cut(*told, cluster.MaxReason)
	}
	free, wanted, ok := e.room()
	switch {
	case ok && free < wanted:
		return fmt.Sprintf("%s; %d bytes are free for %s, %d are needed: make room there, and writes go on by themselves", text, free, e.storeDir, wanted)
	default:
		return fmt.Sprintf("%s: check the disk and the permissions of %s; JetStream is started again every %v until it writes, and pluginhost ends if that hangs", text, e.storeDir, restartPause)
	}
}

// keepRoom has what can be made again give way while there is little room on the embedded
// server's disk.
func (b *Bus) keepRoom() {
	if b.embedded == nil || b.config.MakeRoom == nil {
		return
	}
	if free, wanted, ok := b.embedded.room(); ok && free < wanted {
		b.config.MakeRoom(wanted - free)
	}
}

// restartJetStream starts JetStream of the embedded server again once there is room: it does
// not write to a stream any more after a write has failed.
func (b *Bus) restartJetStream() {
	free, wanted, ok := b.embedded.room()
	if ok && free < wanted || time.Since(b.watching.restarted) < restartPause {
		return
	}
	b.watching.restarted = time.Now()
	s := b.embedded.server
	var err error
	if !within(serverStopTimeout, func() { err = s.ShutdownJetStream() }) {
		b.embedded.hangs.Store(true)
		b.lose(ErrServerHangs)
		return
	}
	if err == nil { // which takes its time where much is stored
		err = s.EnableJetStream(&server.JetStreamConfig{StoreDir: b.embedded.storeDir})
	}
	if err != nil {
		b.config.Logger.Error("JetStream of the embedded NATS server could not be started again: restart pluginhost", "error", err)
		return
	}
	b.config.Logger.Warn("JetStream of the embedded NATS server was started again, as it did not write to a stream any more")
}
