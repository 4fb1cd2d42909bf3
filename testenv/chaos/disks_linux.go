package main

import (
	"context"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// diskSize is more than a server needs, and takes memory only while it is full.
const diskSize = 256 << 20

// disks are those of the NATS servers, by their names.
type disks map[string]*testenv.SmallDisk

// canFill says why no disk of a NATS server can be filled here, if that is so.
func canFill() error { return testenv.CanMountSmallDisk() }

// mount makes the disk of a server, and returns its folder.
func (d disks) mount(env *standalone.Environment, server string) (folder string) {
	d[server] = testenv.NewSmallDisk(env, diskSize)
	return d[server].Folder
}

// storing is a server whose disk is to be filled: in half of the cases one that leads the
// stream of the state or that of fires, which everything waits for.
func (b *breaker) storing(ctx context.Context) (server string) {
	server = b.Servers()[b.random.IntN(len(b.Servers()))]
	leads, streams := b.random.IntN(2) == 0, []string{"KV_" + subjects.StateBucket, subjects.FireStream}
	name := streams[b.random.IntN(len(streams))]
	for ; leads && ctx.Err() == nil; await(ctx, cluster.Lease/30) {
		attempt, cancel := context.WithTimeout(ctx, cluster.Lease/6)
		stream, err := b.js.Stream(attempt, name)
		cancel()
		if err == nil && leaderOf(stream) != "" {
			return leaderOf(stream)
		}
	}
	return server
}

// leaderOf is the server that led a stream when it was asked for; empty is that nobody knows.
func leaderOf(stream jetstream.Stream) string {
	cluster := stream.CachedInfo().Cluster
	if cluster == nil {
		return ""
	}
	return cluster.Leader
}

// fill keeps the disk of a server full for a pause, and says whether the server has failed to
// write meanwhile.
func (b *breaker) fill(ctx context.Context, server string) (failed bool) {
	before := len(b.Log(server))
	paused, cancel := context.WithTimeout(ctx, b.pause())
	defer cancel()
	for ; paused.Err() == nil; await(paused, cluster.Lease/30) {
		b.disks[server].Fill() // also what the server has freed
	}
	return strings.Contains(b.Log(server)[before:], syscall.ENOSPC.Error())
}

// empty makes room on the disk of a server again.
func (b *breaker) empty(server string) { b.disks[server].Free() }
