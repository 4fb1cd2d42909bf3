package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
)

const (
	// keptSeconds is how long a price is kept.
	keptSeconds = 30 * 24 * 60 * 60
	// requestTimeoutMs bounds a request to the webhook. Meanwhile the feed waits.
	requestTimeoutMs = 5000
)

// message is what the feed sends.
type message struct {
	Type   string  `json:"type"`
	Symbol string  `json:"symbol"`
	Price  float64 `json:"price"`
}

// move is what is posted when a price has moved far.
type move struct {
	Event  string  `json:"event"` // move
	Symbol string  `json:"symbol"`
	From   float64 `json:"from"`
	To     float64 `json:"to"`
}

// overview is what is posted as a summary.
type overview struct {
	Event  string             `json:"event"` // summary
	Prices map[string]float64 `json:"prices"`
}

// latestKey has the newest price of a symbol, postedKey the one that moves are
// measured from.
func latestKey(symbol string) string { return "latest:" + symbol }
func postedKey(symbol string) string { return "posted:" + symbol }

// OnTextMessage takes a message of the feed. The next one comes when this call is
// over, so nobody else writes these prices meanwhile.
func (t ticker) OnTextMessage(ctx context.Context, request *api.OnTextMessageRequest) (*api.OnTextMessageResponse, error) {
	settings, err := t.settings(ctx)
	if err != nil {
		return nil, err
	}
	var received message
	if err := json.Unmarshal([]byte(request.Message), &received); err != nil {
		return nil, fmt.Errorf("message of the feed: %w", err)
	}
	if received.Type != "price" || received.Price <= 0 || !slices.Contains(settings.symbols, received.Symbol) {
		return &api.OnTextMessageResponse{}, nil
	}
	if err := t.recovered(ctx); err != nil {
		return nil, err
	}
	return &api.OnTextMessageResponse{}, t.priced(ctx, settings, received)
}

// OnBinaryMessage ignores what the feed does not send.
func (t ticker) OnBinaryMessage(context.Context, *api.OnBinaryMessageRequest) (*api.OnBinaryMessageResponse, error) {
	return &api.OnBinaryMessageResponse{}, nil
}

func (t ticker) priced(ctx context.Context, settings settings, now message) error {
	if err := t.keep(ctx, latestKey(now.Symbol), now.Price); err != nil {
		return err
	}
	posted, err := t.cache.GetFloat(ctx, &cache.GetRequest{Key: postedKey(now.Symbol)})
	if err != nil {
		return fmt.Errorf("read the price of %s: %w", now.Symbol, err)
	}
	if posted.Exists {
		if math.Abs(now.Price-posted.Value)*100 < settings.movePercent*posted.Value {
			return nil
		}
		// A move that could not be posted is tried again with the next price.
		if err := t.post(ctx, settings, move{"move", now.Symbol, posted.Value, now.Price}); err != nil {
			return err
		}
	}
	return t.keep(ctx, postedKey(now.Symbol), now.Price)
}

func (t ticker) keep(ctx context.Context, key string, price float64) error {
	kept, err := t.cache.SetFloat(ctx, &cache.SetFloatRequest{Key: key, Value: price, TtlSeconds: keptSeconds})
	if err == nil && !kept.Success {
		t.logf("a price could not be kept: %s", key)
	}
	return err
}

// scheduleSummary plans the summaries, or ends those of a former configuration.
func (t ticker) scheduleSummary(ctx context.Context, settings settings) error {
	if settings.summary == "" {
		_, err := t.schedules.CancelSchedule(ctx, &scheduler.CancelRequest{ScheduleId: summarySchedule})
		return err // that there was none is no Go error
	}
	_, err := t.schedules.ScheduleRecurring(ctx, &scheduler.ScheduleRecurringRequest{ScheduleId: summarySchedule, CronExpression: settings.summary})
	return err
}

// summarise posts the latest prices.
func (t ticker) summarise(ctx context.Context, settings settings) error {
	latest := overview{Event: "summary", Prices: make(map[string]float64)}
	for _, symbol := range settings.symbols {
		price, err := t.cache.GetFloat(ctx, &cache.GetRequest{Key: latestKey(symbol)})
		if err != nil {
			return fmt.Errorf("read the price of %s: %w", symbol, err)
		}
		if price.Exists {
			latest.Prices[symbol] = price.Value
		}
	}
	return t.post(ctx, settings, latest)
}

func (t ticker) post(ctx context.Context, settings settings, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode what is posted: %w", err)
	}
	response, err := t.http.Post(ctx, &http.HttpRequest{
		Url: settings.webhook, Headers: map[string]string{"Content-Type": "application/json"}, TimeoutMs: requestTimeoutMs, Body: body,
	})
	switch {
	case err != nil:
		return fmt.Errorf("post to the webhook: %w", err)
	case response.Error != "":
		return fmt.Errorf("post to the webhook: %s", response.Error)
	case response.Status < 200 || response.Status > 299:
		return fmt.Errorf("post to the webhook: status %d", response.Status)
	}
	return nil
}
