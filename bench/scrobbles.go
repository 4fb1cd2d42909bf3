package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// scrobbler is the capability of plugins that take plays.
const scrobbler = "Scrobbler"

// firstPlay is when the first play was played, each other one a second later: no two are the same.
const firstPlay = 1_600_000_000

// scrobbles is an environment whose replica takes plays.
type scrobbles struct {
	*environment

	streams       []jetstream.JetStream // one for each of callers
	intake, plays jetstream.Stream
	bucket        jetstream.Stream // of access tokens
	web           *http.Client
	played        atomic.Int64 // how many plays there have been
}

// openScrobbles starts a NATS server and a replica with these plugins that take plays, which listens for them, too. The
// caller closes it.
func (b *bench) openScrobbles(ctx context.Context, name string, plugins map[string][]byte) (_ *scrobbles, err error) {
	dir := filepath.Join(b.dir, name)
	s := &scrobbles{environment: &environment{}, web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: manyCallers}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.startServer(filepath.Join(dir, "nats")); err != nil {
		return nil, err
	}
	host := config.Default()
	host.Name, host.HTTP.Listen, host.ListenBrainz.Listen = "bench", "", "127.0.0.1:0"
	host.Data, host.Plugins.Folder = filepath.Join(dir, "data"), filepath.Join(dir, "plugins")
	host.NATS.URL = s.server.ClientURL()
	for id, wasm := range plugins {
		if err := addPlugin(host.Plugins.Folder, id, scrobbler, wasm); err != nil {
			return nil, err
		}
	}
	if s.replica, err = replica.Start(ctx, host, slog.New(slog.DiscardHandler)); err != nil {
		return nil, fmt.Errorf("start the replica: %w", err)
	}
	for range manyCallers / callersOnConn {
		conn, err := nats.Connect(host.NATS.URL)
		if err != nil {
			return nil, fmt.Errorf("connect a caller: %w", err)
		}
		s.callers, s.clients = append(s.callers, conn), append(s.clients, client.New(conn))
		js, err := jetstream.New(conn)
		if err != nil {
			return nil, err
		}
		s.streams = append(s.streams, js)
	}
	for name, stream := range map[string]*jetstream.Stream{
		subjects.IntakeStream: &s.intake, subjects.PlayStream: &s.plays, jet.AccessTokenBucket.Stream(): &s.bucket,
	} {
		if *stream, err = s.streams[0].Stream(ctx, name); err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return s, nil
}

func (s *scrobbles) close(ctx context.Context) error {
	s.web.CloseIdleConnections()
	return s.environment.close(ctx)
}

// bareStream makes a stream with the settings of another one, for what nobody of ours reads.
func (s *scrobbles) bareStream(ctx context.Context, like, name, subject string) (jetstream.Stream, error) {
	of, err := s.streams[0].Stream(ctx, like)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", like, err)
	}
	settings := of.CachedInfo().Config
	settings.Name, settings.Subjects, settings.Metadata = name, []string{subject}, nil
	stream, err := s.streams[0].CreateStream(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream, nil
}

// next is another play of a user.
func (s *scrobbles) next(user string) *api.ScrobblerScrobbleRequest {
	return playOf(user, s.played.Add(1))
}

func userName(n int) string { return "user-" + strconv.Itoa(n) }

// playOf is the play of a user with a number, with all that Navidrome sends to ListenBrainz of a track.
func playOf(user string, n int64) *api.ScrobblerScrobbleRequest {
	return &api.ScrobblerScrobbleRequest{Username: user, Timestamp: firstPlay + n, Track: &api.TrackInfo{
		Name: "Sinnerman", Mbid: "0b3b6e59-3e6c-4f3f-9a1f-6d3b7a0f3a11",
		Album: "Pastel Blues", AlbumMbid: "c1c2a9b5-0d2e-4f7b-8a53-5f4c7d5f1e22", ReleaseGroupMbid: "9a7a1f0e-77aa-4d0c-8b57-20b6a3a9c533",
		Artists:     []*api.Artist{{Name: "Nina Simone", Mbid: "2944824d-4c26-476f-a981-be849081942f"}},
		TrackNumber: 9, DiscNumber: 1, Length: 622, DurationMs: 622_000,
	}}
}

// listenOf is a play as Navidrome sends it to ListenBrainz.
func listenOf(play *api.ScrobblerScrobbleRequest) []byte {
	track, artist := play.Track, play.Track.Artists[0]
	body, _ := json.Marshal(map[string]any{"listen_type": "single", "payload": []any{map[string]any{ // never fails
		"listened_at": play.Timestamp,
		"track_metadata": map[string]any{
			"artist_name": artist.Name, "track_name": track.Name, "release_name": track.Album,
			"additional_info": map[string]any{
				"submission_client": "navidrome", "submission_client_version": "0.58.5", "tracknumber": track.TrackNumber, "discnumber": track.DiscNumber,
				"artist_names": []string{artist.Name}, "artist_mbids": []string{artist.Mbid}, "recording_mbid": track.Mbid,
				"release_mbid": track.AlbumMbid, "release_group_mbid": track.ReleaseGroupMbid, "duration_ms": track.DurationMs,
			},
		},
	}}})
	return body
}

// takesAll is a plugin written by hand that is authorised for everybody and takes every play.
func takesAll() []byte {
	return guests.Handmade{Capabilities: []string{scrobbler}, Body: []byte{
		0x20, 0x01, 0x41, 0xc0, 0x00, 0x49, 0x04, 0x7e, // local.get 1, i32.const 64, i32.lt_u, if i64: a request too short for a play
		0x41, 0x80, 0x10, 0x41, 0x88, 0x02, 0x3b, 0x01, 0x00, // i32.const 2048, i32.const 0x0108, i32.store16: authorized is true
		0x42, 0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, // i64.const 2048<<32 | 2
		0x05, 0x42, 0x00, 0x0b, // else, i64.const 0, end
	}}.Bytes()
}

// takesNone is a plugin written by hand that is authorised for nobody.
func takesNone() []byte { return guests.Handmade{Capabilities: []string{scrobbler}}.Bytes() }

// await looks again and again until something is done. It fails if nothing moves for long.
func await(ctx context.Context, what string, look func() (progress uint64, done bool, err error)) error {
	before, since := uint64(0), time.Now()
	for {
		progress, done, err := look()
		switch {
		case err != nil || done:
			return err
		case progress != before:
			before, since = progress, time.Now()
		case time.Since(since) > replyTimeout:
			return fmt.Errorf("waiting for %s: nothing has happened for %v", what, replyTimeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond): // JetStream has no event for it
		}
	}
}
