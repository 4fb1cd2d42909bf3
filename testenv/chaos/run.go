//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/journal"
	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// settleTime is how long what is still due may take at the end.
const settleTime = 60 * time.Second

// run does everything and reports on it.
func run(ctx context.Context, o options, log io.Writer) (r report, err error) {
	r = report{Seed: o.seed, Without: o.without}
	env := standalone.New(context.WithoutCancel(ctx), "chaos")
	defer env.End(&err)
	begun := time.Now()
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(log, "%5.0f s  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	say("seed %d: starting three NATS servers and three replicas", o.seed)
	heard := newDiary()
	env.Cleanup(heard.close)
	told := journal.Start(env, heard.hear)
	c := startCluster(context.WithoutCancel(ctx), env, told.URL(), o)
	conn, err := nats.Connect(c.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(cluster.Lease/30))
	if err != nil {
		return r, err
	}
	env.Cleanup(conn.Close)

	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	w, err := startWitness(watching, conn)
	if err != nil {
		stopWatching()
		return r, err
	}
	probe, err := startProbe(watching, conn)
	if err != nil {
		stopWatching()
		return r, err
	}
	env.Cleanup(func() {
		stopWatching()
		w.done.Wait()
		probe.done.Wait()
	})
	js, err := jetstream.New(conn)
	if err != nil {
		return r, err
	}
	state, err := js.KeyValue(ctx, subjects.StateBucket)
	if err != nil {
		return r, err
	}

	random := rand.New(rand.NewPCG(o.seed, 0)) // #nosec G404 -- to be repeated
	l := &load{options: o, client: client.New(conn), schedules: make(map[string]*promise), connected: make(map[string]bool)}
	if err := l.recur(ctx, random); err != nil {
		return r, err
	}
	loading, stopLoading := context.WithCancel(context.WithoutCancel(ctx))
	l.done.Go(func() { l.schedule(loading, rand.New(rand.NewPCG(o.seed, 1))) }) // #nosec G404 -- to be repeated
	for n := range o.sockets {
		l.done.Go(func() { l.connect(loading, n, heard.address(), heard, rand.New(rand.NewPCG(o.seed, uint64(n)+2))) }) // #nosec G404 -- to be repeated
	}
	b := &breaker{machines: c, options: o, random: random, probe: probe, js: js, state: state, say: say}
	loadBegun := time.Now()
	err = b.breakAll(ctx)

	say("waiting for what is still due")
	stopLoading()
	l.done.Wait()
	r.Still = heard.still(env.Context(), o.recurring)
	for n := range o.recurring {
		_, _ = l.call(env.Context(), journal.Command{Do: "cancel", ID: []byte(recurring(n))})
	}
	lasted := time.Since(loadBegun)
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline) && !l.isKept(heard); {
		await(env.Context(), cluster.Lease/10)
	}
	r.fill(l, heard, w, b, lasted, o)
	if o.logs != "" {
		err = errors.Join(err, c.writeLogs(o.logs))
	}
	return r, err
}
