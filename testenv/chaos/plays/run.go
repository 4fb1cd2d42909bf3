//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// settleTime is how long no play may be taken at the end until what is missing counts as lost: longer than a queue waits
// that has failed a few times, and than a NATS server takes to catch up.
const settleTime = 90 * time.Second

// brokenShare is until how many of a hundred plays are delivered things go wrong.
const brokenShare = 90

// run does everything and reports on it.
func run(ctx context.Context, o options, log io.Writer) (r report, err error) {
	r = report{Seed: o.seed, Unkept: o.unkept, Broken: make(map[string]int)}
	env := standalone.New(context.WithoutCancel(ctx), "plays")
	defer env.End(&err)
	begun := time.Now()
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(log, "%5.0f s  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	say("seed %d: starting three NATS servers and three replicas", o.seed)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	s := startService(serving, o.seed)
	env.Cleanup(s.server.Close)
	env.Cleanup(stopServing)
	m := startMachines(env, s.server.URL, o)
	conn, err := nats.Connect(m.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(cluster.Lease/30))
	if err != nil {
		return r, err
	}
	env.Cleanup(conn.Close)
	w, err := startWitness(conn)
	if err != nil {
		return r, err
	}
	l := &load{options: o, client: client.New(conn), http: &http.Client{}, tokens: make([]string, o.users)}
	env.Cleanup(l.http.CloseIdleConnections)
	if err := l.link(ctx, m); err != nil {
		return r, err
	}
	loading, stopLoading := context.WithCancel(ctx)
	defer stopLoading()
	l.start(loading)
	submitted := make(chan struct{})
	go func() { defer close(submitted); l.done.Wait() }()
	random := rand.New(rand.NewPCG(o.seed, 0)) // #nosec G404 -- to be repeated
	for n := 0; ctx.Err() == nil && s.count() < o.plays*brokenShare/100; n++ {
		kind := kinds[n%len(kinds)]
		say("%d of %d accepted, %d delivered; %s", l.accepted.Load(), o.plays, s.count(), kind)
		m.breakOne(ctx, kind, o, random)
		r.Broken[kind]++
		await(ctx, o.every)
	}
	if ctx.Err() != nil {
		stopLoading()
	}
	<-submitted
	r.Accepted, r.Resent = int(l.accepted.Load()), int(l.resent.Load())
	say("%d accepted, %d delivered; nothing is broken any more", r.Accepted, s.count())
	s.recover()
	s.awaitAll(env.Context(), o.plays, settleTime)
	r.DeliveredIn = time.Since(begun).Round(time.Second)
	await(env.Context(), time.Second) // for what comes twice
	w.readLogs(m.started)
	r.judge(o, s, w)
	return r, nil
}

// link makes a token for every other user, whose plays come through the listeners.
func (l *load) link(ctx context.Context, m *machines) error {
	for _, s := range m.seats {
		l.listeners = append(l.listeners, s.listen)
	}
	for user := 1; user < len(l.tokens); user += 2 {
		secret, _, err := l.client.CreateAccessToken(ctx, subjects.AccessTokenGrant{User: userName(user), Scopes: []subjects.AccessScope{subjects.ScopeScrobble}})
		if err != nil {
			return err
		}
		l.tokens[user] = secret
	}
	return nil
}
