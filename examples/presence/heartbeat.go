package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
)

const (
	// maxInterval is the longest time between two heartbeats, in seconds.
	maxInterval = 60 * 60
	// patience is for how many intervals a gateway may leave heartbeats without an
	// answer.
	patience = 2
)

func sequenceKey(account string) string   { return "sequence:" + account }
func unansweredKey(account string) string { return "unanswered:" + account }

// beginHeartbeats schedules them, in the place of those of the connection before.
func (p *presence) beginHeartbeats(ctx context.Context, account string, milliseconds int64) error {
	seconds := min(max(milliseconds/1000, 1), maxInterval)
	if _, err := p.cache.Remove(ctx, &cache.RemoveRequest{Key: unansweredKey(account)}); err != nil {
		return fmt.Errorf("begin the heartbeats: %w", err)
	}
	_, err := p.heartbeats.ScheduleRecurring(ctx, &scheduler.ScheduleRecurringRequest{
		ScheduleId: account, CronExpression: fmt.Sprintf("@every %ds", seconds), Payload: strconv.AppendInt(nil, seconds, 10),
	})
	if err != nil {
		return fmt.Errorf("begin the heartbeats: %w", err)
	}
	return nil
}

// beat is called at every interval, on any replica.
func (p *presence) beat(ctx context.Context, request *api.SchedulerCallbackRequest) error {
	account := request.ScheduleId
	interval, err := strconv.ParseInt(string(request.Payload), 10, 64)
	if err != nil {
		return fmt.Errorf("interval of the heartbeats: %w", err)
	}
	since, err := p.cache.GetInt(ctx, &cache.GetRequest{Key: unansweredKey(account)})
	if err != nil {
		return fmt.Errorf("read whether the gateway answers: %w", err)
	}
	now := time.Now().Unix()
	switch {
	case !since.Exists:
		_, err = p.cache.SetInt(ctx, &cache.SetIntRequest{Key: unansweredKey(account), Value: now})
	case now-since.Value > patience*interval:
		return p.close(ctx, account, closeAgain, "heartbeats are not answered")
	}
	if err == nil {
		err = p.sendHeartbeat(ctx, account)
	}
	if errors.Is(err, errNoConnection) {
		return p.forget(ctx, account) // and these heartbeats with it
	}
	return err
}

// answered is called for the answer to a heartbeat.
func (p *presence) answered(ctx context.Context, account string) error {
	_, err := p.cache.Remove(ctx, &cache.RemoveRequest{Key: unansweredKey(account)})
	return err
}

func (p *presence) sendHeartbeat(ctx context.Context, account string) error {
	sequence, err := p.cache.GetInt(ctx, &cache.GetRequest{Key: sequenceKey(account)})
	if err != nil {
		return fmt.Errorf("read the sequence: %w", err)
	}
	if !sequence.Exists {
		return p.send(ctx, account, opHeartbeat, nil)
	}
	return p.send(ctx, account, opHeartbeat, sequence.Value)
}
