package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// gatewaySection measures calls over HTTP.
func gatewaySection() section {
	return section{
		name: "gateway", title: "Calls over HTTP, beside those that NATS brings", baseline: "NATS",
		shows: []quantity{p50, p99, perSecond, p50Ratio, rateRatio, cpu, cpuAdded},
		run:   measureGateway,
	}
}

// posting is a client of HTTP that calls a plugin.
type posting struct {
	web         *http.Client
	url, token  string
	contentType string
	body        []byte
}

func measureGateway(ctx context.Context, b *bench) (_ []*row, err error) {
	noop, err := b.guest(ctx, guestNoop)
	if err != nil {
		return nil, err
	}
	e, err := b.openEnvironment(ctx, "gateway", map[string][]byte{pluginClean: noop}, manyCallers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	token, _, err := e.clients[0].CreateAccessToken(ctx, subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeCall}})
	if err != nil {
		return nil, err
	}
	binary, err := request().MarshalVT()
	if err != nil {
		return nil, err
	}
	keepAlive := &http.Transport{MaxIdleConnsPerHost: manyCallers}
	defer keepAlive.CloseIdleConnections()
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			_, _ = w.Write(body)
		}
	}))
	defer bare.Close()
	url := "http://" + e.replica.HTTPAddress() + subjects.HTTPPlugins + "/" + pluginClean + "/get_artist_biography"
	protobuf := posting{&http.Client{Transport: keepAlive, Timeout: replyTimeout}, url, token, subjects.ContentTypeProtobuf, binary}
	json := protobuf
	json.contentType, json.body = subjects.ContentTypeJSON, []byte(`{"id":"29","name":"Nina Simone"}`)
	overHTTP2 := protobuf
	overHTTP2.web = &http.Client{Transport: h2c, Timeout: replyTimeout}
	handler := protobuf
	handler.url = bare.URL

	var rows []*row
	for _, callers := range []int{1, manyCallers} {
		nats := &row{name: "NATS, protobuf", callers: callers, take: calls(callers, e.callPlugin(pluginClean))}
		inJSON := &row{name: "NATS, JSON", callers: callers, take: calls(callers, e.callJSON(pluginClean, json.body)), against: nats}
		through := func(name string, p posting, against *row) *row {
			return &row{name: name, callers: callers, take: calls(callers, p.post), against: against}
		}
		gateway := through("gateway, protobuf", protobuf, nats)
		gateway.aims = []aim{{of: p50Ratio, bound: 1.6}, {of: rateRatio, bound: 1 / 1.6, least: true}}
		rows = append(rows, nats, inJSON, gateway,
			through("gateway, JSON, by NATS with JSON", json, inJSON),
			through("gateway, HTTP/2", overHTTP2, nats),
			through("a bare HTTP echo: no token, no plugin", handler, nats))
	}
	if err := b.measure(ctx, rows, 20, 250*time.Millisecond); err != nil {
		return nil, err
	}
	if b.plan.profiles != "" {
		err = profileRows(ctx, rows, b.plan)
	}
	return rows, err
}

// callJSON calls a plugin with JSON.
func (e *environment) callJSON(id string, body []byte) call {
	return func(ctx context.Context, n int) error {
		if _, err := e.clients[n%len(e.clients)].CallJSON(ctx, id, "get_artist_biography", body, replyTimeout); err != nil {
			return fmt.Errorf("call %s: %w", id, err)
		}
		return nil
	}
}

// post is one call over HTTP.
func (p posting) post(ctx context.Context, _ int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(p.body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Header.Set("Content-Type", p.contentType)
	answer, err := p.web.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the gateway: %s: %s", answer.Status, text)
	}
	return err
}
