package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
	"github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

// There is one connection and one schedule of each kind, whichever replica acts: a
// fixed id makes one of many.
const (
	feedConnection    = "feed"
	reconnectSchedule = "reconnect"
	summarySchedule   = "summary"

	attemptsKey = "attempts" // failures since the last price
	// maxDelay is the longest time between two attempts to connect, in seconds.
	maxDelay = 60
)

// ticker keeps nothing in memory between calls.
type ticker struct {
	config    config.ConfigService
	cache     cache.CacheService
	schedules scheduler.SchedulerService
	sockets   websocket.WebSocketService
	http      poster
	log       io.Writer
}

// poster is the part of http.HttpService that the ticker uses.
type poster interface {
	Post(ctx context.Context, request *http.HttpRequest) (*http.HttpResponse, error)
}

// OnInit begins to follow the feed. It runs once in the whole cluster. It fails for a
// configuration that cannot work; without any, there is nothing to do yet. A feed that
// is away is tried again.
func (t ticker) OnInit(ctx context.Context, request *api.InitRequest) (*api.InitResponse, error) {
	if len(request.Config) == 0 {
		t.logf("nothing to follow: set symbols and webhook in [PluginConfig.ticker]")
		return &api.InitResponse{}, nil
	}
	settings, err := parseSettings(request.Config)
	if err != nil {
		return nil, err
	}
	if err := t.scheduleSummary(ctx, settings); err != nil {
		return nil, err
	}
	return &api.InitResponse{}, t.follow(ctx, settings)
}

// OnSchedulerCallback connects again, or posts the summary. It may run twice for one
// plan; another connection takes the place of the first.
func (t ticker) OnSchedulerCallback(ctx context.Context, request *api.SchedulerCallbackRequest) (*api.SchedulerCallbackResponse, error) {
	settings, err := t.settings(ctx)
	if err != nil {
		return nil, err
	}
	switch request.ScheduleId {
	case reconnectSchedule:
		err = t.follow(ctx, settings)
	case summarySchedule:
		err = t.summarise(ctx, settings)
	}
	return &api.SchedulerCallbackResponse{}, err
}

// OnClose is called when the feed has closed the connection, or the replica that had
// it is shut down.
func (t ticker) OnClose(ctx context.Context, request *api.OnCloseRequest) (*api.OnCloseResponse, error) {
	t.logf("the feed was closed: %d %s", request.Code, request.Reason)
	return &api.OnCloseResponse{}, t.retry(ctx)
}

// OnError is called when the connection has failed, or the replica that had it is
// gone.
func (t ticker) OnError(ctx context.Context, request *api.OnErrorRequest) (*api.OnErrorResponse, error) {
	t.logf("the feed has failed: %s", request.Error)
	return &api.OnErrorResponse{}, t.retry(ctx)
}

// follow connects and subscribes; what goes wrong with the feed plans another
// attempt and is no error.
func (t ticker) follow(ctx context.Context, settings settings) error {
	// An attempt that is planned already would break a connection that is well. Not
	// afterwards: that could end the plan of an OnClose that came at once.
	if _, err := t.schedules.CancelSchedule(ctx, &scheduler.CancelRequest{ScheduleId: reconnectSchedule}); err != nil {
		return err
	}
	if err := t.connect(ctx, settings); err != nil {
		t.logf("%v", err)
		return t.retry(ctx)
	}
	return nil
}

// subscription asks the feed for prices.
type subscription struct {
	Type    string   `json:"type"`
	Symbols []string `json:"symbols"`
}

func (t ticker) connect(ctx context.Context, settings settings) error {
	body, err := json.Marshal(subscription{Type: "subscribe", Symbols: settings.symbols})
	if err != nil {
		return fmt.Errorf("encode the subscription: %w", err)
	}
	connected, err := t.sockets.Connect(ctx, &websocket.ConnectRequest{Url: settings.feed, ConnectionId: feedConnection})
	if err == nil && connected.Error != "" {
		err = errors.New(connected.Error)
	}
	if err != nil {
		return fmt.Errorf("connect to the feed: %w", err)
	}
	subscribed, err := t.sockets.SendText(ctx, &websocket.SendTextRequest{ConnectionId: feedConnection, Message: string(body)})
	if err == nil && subscribed.Error != "" {
		err = errors.New(subscribed.Error)
	}
	if err != nil {
		return fmt.Errorf("subscribe to the feed: %w", err)
	}
	return nil
}

// retry plans another attempt: after 1, 2, 4 … 60 seconds.
func (t ticker) retry(ctx context.Context) error {
	attempts, err := t.cache.GetInt(ctx, &cache.GetRequest{Key: attemptsKey})
	if err != nil {
		return fmt.Errorf("read the number of attempts: %w", err)
	}
	// It only counts: where it cannot be kept, the next attempt comes sooner.
	if _, err := t.cache.SetInt(ctx, &cache.SetIntRequest{Key: attemptsKey, Value: attempts.Value + 1}); err != nil {
		return fmt.Errorf("keep the number of attempts: %w", err)
	}
	_, err = t.schedules.ScheduleOneTime(ctx, &scheduler.ScheduleOneTimeRequest{
		ScheduleId: reconnectSchedule, DelaySeconds: delay(attempts.Value),
	})
	if err != nil {
		return fmt.Errorf("schedule another attempt: %w", err)
	}
	return nil
}

// delay is how long to wait after so many failures before, in seconds.
func delay(failures int64) int32 {
	if failures >= 6 {
		return maxDelay
	}
	return 1 << max(failures, 0)
}

// recovered forgets failed attempts: a feed is well when it sends prices, not when it
// takes a connection.
func (t ticker) recovered(ctx context.Context) error {
	failed, err := t.cache.Has(ctx, &cache.HasRequest{Key: attemptsKey})
	if err == nil && failed.Exists {
		_, err = t.cache.Remove(ctx, &cache.RemoveRequest{Key: attemptsKey})
	}
	return err
}

// logf writes a line to the host's log.
func (t ticker) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(t.log, format+"\n", args...)
}
