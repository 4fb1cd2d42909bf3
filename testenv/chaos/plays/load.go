//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// firstSecond is when the first play of each user was, and between is how long after another one the next is.
const (
	firstSecond = 1_600_000_000
	between     = 200
)

// retryPause is between two attempts to submit a play: Navidrome takes longer.
const retryPause = 200 * time.Millisecond

// load submits plays.
type load struct {
	options   options
	client    *client.Client
	listeners []string // addresses
	tokens    []string // by user; empty is one whose plays are published
	http      *http.Client

	accepted, resent atomic.Int64
	done             sync.WaitGroup
}

func userName(n int) string { return fmt.Sprintf("user%02d", n) }

// of is how many plays a user has.
func (o options) of(user int) int {
	n := o.plays / o.users
	if user < o.plays%o.users {
		n++
	}
	return n
}

// start has each user's plays submitted, one after the other, each until it is accepted.
func (l *load) start(ctx context.Context) {
	for user := range l.options.users {
		random := rand.New(rand.NewPCG(l.options.seed, uint64(user)+100)) // #nosec G404 -- to be repeated
		l.done.Go(func() {
			for n := range l.options.of(user) {
				l.submit(ctx, user, n, random)
			}
		})
	}
}

func (l *load) submit(ctx context.Context, user, n int, random *rand.Rand) {
	for ctx.Err() == nil {
		var err error
		if l.tokens[user] == "" {
			err = l.publish(ctx, user, n)
		} else {
			err = l.post(ctx, user, n, l.listeners[random.IntN(len(l.listeners))])
		}
		if err == nil {
			l.accepted.Add(1)
			return
		}
		l.resent.Add(1)
		await(ctx, retryPause)
	}
}

func trackName(n int) string { return fmt.Sprintf("track %d", n) }

func (l *load) publish(ctx context.Context, user, n int) error {
	track := &api.TrackInfo{Name: trackName(n), Album: "album", Artists: []*api.Artist{{Name: "artist"}}}
	return l.client.Scrobbles().Submit(ctx, client.User{Name: userName(user)}, track, time.Unix(second(n), 0))
}

func second(n int) int64 { return firstSecond + int64(n)*between }

// post sends a play as Navidrome does.
func (l *load) post(ctx context.Context, user, n int, listener string) error {
	body, err := json.Marshal(map[string]any{"listen_type": "single", "payload": []any{map[string]any{
		"listened_at": second(n),
		"track_metadata": map[string]any{
			"artist_name": "artist", "track_name": trackName(n), "release_name": "album",
			"additional_info": map[string]any{"submission_client": "navidrome", "artist_names": []string{"artist"}},
		},
	}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+listener+"/1/submit-listens", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Token "+l.tokens[user])
	request.Header.Set("Content-Type", "application/json; charset=UTF-8")
	answer, err := l.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return nil
}

// playID is the id of a play, as events have it.
func playID(user, n int) string {
	return subjects.PlayKey{User: userName(user), Second: second(n), Title: trackName(n), Album: "album", Artists: []string{"artist"}}.ID()
}

// await waits a while, or for ctx.
func await(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
