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

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// notInstalled is a plugin that is not there: plays for it are put into its queues, and wait.
const notInstalled = "later"

// scrobbleSection measures the promise that a play is not lost.
func scrobbleSection() section {
	return section{
		name: "scrobble", title: "Plays that are accepted, by a bare JetStream publish of the same bytes to a stream of the same settings", baseline: "bare",
		shows: []quantity{p50, p99, perSecond, p50Ratio, p99Ratio, rateRatio, cpu, cpuAdded},
		run:   measureAccepted,
	}
}

func measureAccepted(ctx context.Context, b *bench) ([]*row, error) {
	promised, err := b.acceptedBy(ctx, "accepted", "")
	if err != nil {
		return nil, err
	}
	routed, err := b.acceptedBy(ctx, "routed", notInstalled)
	return append(promised, routed...), err
}

// acceptedBy measures plays for all plugins, of which there are none, or for one.
func (b *bench) acceptedBy(ctx context.Context, name, to string) (_ []*row, err error) {
	s, err := b.openScrobbles(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	bare, err := s.bareStream(ctx, subjects.IntakeStream, "BARE", "bare")
	if err != nil {
		return nil, err
	}
	door := "http://" + s.replica.ListenBrainzAddress() + "/1/submit-listens"
	tokens, err := s.tokens(ctx, to)
	if err != nil {
		return nil, err
	}
	handler := httptest.NewServer(s.bareHandler(subjects.AccessTokenKey(tokens[0])))
	defer handler.Close()
	during := ""
	if to != "" {
		during = ", while they are put into queues"
	}
	var rows []*row
	for _, callers := range []int{1, manyCallers} {
		against := &row{name: "bare JetStream publish" + during, callers: callers, take: s.settled(to, bare, calls(callers, s.publishBare("bare")))}
		submitted := &row{name: "client.Submit" + during, callers: callers, against: against, take: s.settled(to, bare, calls(callers, s.submit(to)))}
		posted := &row{name: "POST /1/submit-listens" + during, callers: callers, against: against, take: s.settled(to, bare, calls(callers, s.post(door, tokens)))}
		if to == "" {
			posted.aims = []aim{{of: p50Ratio, bound: 3}}
			if callers == 1 {
				submitted.aims = []aim{{of: p50Ratio, bound: 1.5}}
			}
		}
		rows = append(rows, against, submitted, posted)
		if to == "" {
			rows = append(rows, &row{
				name: "POST to a bare handler: token and publish", callers: callers, against: against,
				take: s.settled(to, bare, calls(callers, s.post(handler.URL, tokens))),
			})
		}
	}
	if err := b.measure(ctx, rows, 10, 250*time.Millisecond); err != nil {
		return nil, err
	}
	if b.plan.profiles != "" {
		err = profileRows(ctx, rows, b.plan)
	}
	return rows, err
}

// settled measures next once nothing is left of the rounds before. Plays for plugins that are not installed wait in the
// intake, and are removed; those for one go to its queues by themselves.
func (s *scrobbles) settled(to string, bare jetstream.Stream, next source) source {
	return func(ctx context.Context, length time.Duration) (sample, error) {
		err := bare.Purge(ctx)
		if err == nil && to == "" {
			err = s.intake.Purge(ctx)
		}
		if err == nil {
			err = await(ctx, "the intake to be empty", func() (uint64, bool, error) {
				info, err := s.intake.Info(ctx)
				if err != nil {
					return 0, false, err
				}
				return info.State.FirstSeq, info.State.Msgs == 0, nil
			})
		}
		if err != nil {
			return sample{}, err
		}
		return next(ctx, length)
	}
}

// publishBare publishes plays as they are, and waits until each is stored.
func (s *scrobbles) publishBare(subject string) call {
	return func(ctx context.Context, n int) error {
		body, err := s.next(userName(n)).MarshalVT()
		if err != nil {
			return err
		}
		if _, err := s.streams[n%len(s.streams)].Publish(ctx, subject, body); err != nil {
			return fmt.Errorf("bare publish: %w", err)
		}
		return nil
	}
}

// submit hands plays over as a program does that imports package client.
func (s *scrobbles) submit(to string) call {
	return func(ctx context.Context, n int) error {
		play := s.next(userName(n))
		return s.clients[n%len(s.clients)].Scrobbles().To(to).Submit(ctx, client.User{Name: play.Username}, play.Track, time.Unix(play.Timestamp, 0))
	}
}

// tokens are those of users, for plays that go to a plugin.
func (s *scrobbles) tokens(ctx context.Context, to string) (secrets []string, err error) {
	for n := range manyCallers {
		secret, _, err := s.clients[0].CreateAccessToken(ctx, subjects.AccessTokenGrant{
			User: userName(n), Scopes: []subjects.AccessScope{subjects.ScopeScrobble}, Plugin: to,
		})
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// post hands plays over as Navidrome does, each caller with the token of a user.
func (s *scrobbles) post(url string, tokens []string) call {
	return func(ctx context.Context, n int) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(listenOf(s.next(userName(n)))))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Token "+tokens[n])
		request.Header.Set("Content-Type", "application/json; charset=UTF-8")
		answer, err := s.web.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("submit-listens: %s: %s", answer.Status, text)
		}
		return err
	}
}

// bareHandler is what a listener for plays needs at least: it reads the body, looks up a token at the leader of its bucket, and
// publishes as much as a play has, with nothing of ours around it.
func (s *scrobbles) bareHandler(key string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		play, err := s.next(userName(0)).MarshalVT()
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		if err == nil {
			_, err = s.bucket.GetLastMsgForSubject(r.Context(), jet.AccessTokenBucket.Subject(key))
		}
		if err == nil {
			_, err = s.streams[0].Publish(r.Context(), "bare", play) // as a replica has one connection for it
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}
