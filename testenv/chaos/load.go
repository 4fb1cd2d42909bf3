//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

const (
	// callTimeout is how long a call is waited for: longer than an election of the
	// servers.
	callTimeout = 12 * time.Second
	// maxDelay is the longest delay of a one-time schedule, in seconds.
	maxDelay = 4
	// maxCallback is the longest callback.
	maxCallback = 300 * time.Millisecond
)

// load has the plugin schedule and connect, and remembers what was promised.
type load struct {
	options options
	client  *client.Client
	done    sync.WaitGroup

	mu        sync.Mutex
	schedules map[string]*promise // one-time schedules, by id
	connected map[string]bool     // connections by id
	refused   int                 // calls that failed: nothing was promised
}

// promise is a one-time schedule that was acknowledged.
type promise struct {
	due       time.Time // when it should have fired, as late as can be
	payload   string    // of the newest that was acknowledged
	cancelled bool
	settled   time.Time // when the answer to the last command came
	unsure    bool      // nobody knows whether it was set, cancelled or replaced
}

// call has the plugin do something, on any replica.
func (l *load) call(ctx context.Context, command journal.Command) (journal.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var result journal.Result
	name, err := json.Marshal(command)
	if err != nil {
		return result, err
	}
	answer, err := l.client.MetadataAgent(pluginID).GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: string(name)})
	if err == nil {
		err = json.Unmarshal([]byte(answer.Biography), &result)
	}
	if err != nil {
		l.mu.Lock()
		l.refused++
		l.mu.Unlock()
	}
	return result, err
}

// schedule sets one-time schedules until ctx is over.
func (l *load) schedule(ctx context.Context, random *rand.Rand) {
	ticker := time.NewTicker(time.Second / time.Duration(l.options.schedules))
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		id, delay, payload := fmt.Sprint("once-", n), random.IntN(maxDelay+1), callbackTime(random)
		then := random.IntN(10)
		l.done.Go(func() { l.once(context.WithoutCancel(ctx), id, delay, payload, then) })
	}
}

// callbackTime is how long a callback is to take, in a payload.
func callbackTime(random *rand.Rand) string {
	return strconv.Itoa(random.IntN(int(maxCallback / time.Millisecond)))
}

// once sets a one-time schedule, and sometimes cancels or replaces it.
func (l *load) once(ctx context.Context, id string, delay int, payload string, then int) {
	if !l.set(ctx, id, delay, payload) || delay < 2 {
		return
	}
	switch then {
	case 0:
		result, err := l.call(ctx, journal.Command{Do: "cancel", ID: []byte(id)})
		l.note(id, func(p *promise) {
			p.cancelled, p.unsure, p.settled = result.OK, p.unsure || err != nil || isUnsure(result), time.Now()
		})
	case 1:
		l.set(ctx, id, delay, payload+" again")
	}
}

// isUnsure tells a failure to cancel from a schedule that has run.
func isUnsure(r journal.Result) bool { return r.Error != "" && r.Error != "schedule not found" }

func (l *load) set(ctx context.Context, id string, delay int, payload string) bool {
	_, err := l.call(ctx, journal.Command{Do: "once", ID: []byte(id), Delay: delay, Payload: []byte(payload)})
	l.note(id, func(p *promise) {
		p.due, p.payload, p.unsure = time.Now().Add(time.Duration(delay)*time.Second), payload, p.unsure || err != nil
	})
	return err == nil
}

func (l *load) note(id string, change func(*promise)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.schedules[id] == nil {
		l.schedules[id] = new(promise)
	}
	change(l.schedules[id])
}

// recur sets the recurring schedules.
func (l *load) recur(ctx context.Context, random *rand.Rand) error {
	for n := range l.options.recurring {
		if _, err := l.call(ctx, journal.Command{Do: "every", ID: []byte(recurring(n)), Expression: "* * * * * *", Payload: []byte(callbackTime(random))}); err != nil {
			return err
		}
	}
	return nil
}

// recurring is the id of a recurring schedule.
func recurring(n int) string { return fmt.Sprint("every-", n) }

// connect opens one connection after the other until ctx is over; each ends in one
// of several ways.
func (l *load) connect(ctx context.Context, seat int, address string, heard *diary, random *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("socket-%d-%d", seat, n)
		result, err := l.call(context.WithoutCancel(ctx), journal.Command{Do: "connect", ID: []byte(id), URL: address + "/" + id})
		if err != nil || !result.OK {
			await(ctx, maxCallback)
			continue
		}
		l.mu.Lock()
		l.connected[id] = true
		l.mu.Unlock()
		ended := heard.ended(id)
		timer := time.NewTimer(time.Second + time.Duration(random.Int64N(int64(8*time.Second))))
		select {
		case <-ended:
		case <-timer.C:
			if random.IntN(2) == 0 {
				l.close(context.WithoutCancel(ctx), id, ended)
			} else {
				heard.hangUp(id)
			}
		case <-ctx.Done():
			l.close(context.WithoutCancel(ctx), id, ended)
		}
		timer.Stop()
	}
}

// close has a connection closed, again while nobody answers: with all servers away a request
// is lost, and the connection would stay open.
func (l *load) close(ctx context.Context, id string, ended <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := l.call(ctx, journal.Command{Do: "close", ID: []byte(id), Code: 4000, Text: "enough"}); err == nil {
			return
		}
		select {
		case <-ended:
			return
		default:
			await(ctx, maxCallback)
		}
	}
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
