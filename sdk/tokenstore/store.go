// Package tokenstore keeps access tokens in JetStream, by the hashes of their secrets: replicas and
// operators share it.
//
// A [Store] asks the leader of the stream each time, and keeps nothing: a token that was made is good,
// and one that was revoked is not, for all replicas at once. A [Followed] knows the tokens that there are, and
// asks the leader about others.
package tokenstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

var (
	// ErrUnknown says that there is no such token, or none any more.
	ErrUnknown = errors.New("no such token")
	// ErrTooMany says that there are as many tokens as may be.
	ErrTooMany = fmt.Errorf("there are %d tokens, as many as may be: revoke some that nobody uses", MaxTokens)
	// ErrNoStore says that the NATS server has no bucket for tokens: replicas make it.
	ErrNoStore = errors.New("the NATS server has no bucket for tokens: start a replica on it and try again")
)

const (
	// MaxTokens is how many tokens there may be. Some more can come of being made at the same moment.
	MaxTokens = 10_000
	// patience is how long one operation may take: longer than the servers need to elect
	// another leader.
	patience = 10 * time.Second
	// useInterval is how often it is noted that a token is used.
	useInterval = time.Hour
	// keepExpired is how long a token is listed that has expired.
	keepExpired = 30 * 24 * time.Hour
	// keepRevoked is how long it is told that a token was revoked.
	keepRevoked = time.Minute
)

// Store is the bucket of tokens. It is safe for concurrent use, and there is nothing to close.
type Store struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// Ensure returns the store, made if it is missing, which takes the rights of a replica.
func Ensure(ctx context.Context, handle *jet.Handle) (*Store, error) {
	if _, err := handle.EnsureBucket(ctx, jet.AccessTokenBucket); err != nil {
		return nil, err
	}
	return Open(ctx, handle.JetStream())
}

// Open finds the store; ErrNoStore is that there is none, [jet.ErrForeign] that somebody else has made it
// in a way that does not do.
func Open(ctx context.Context, js jetstream.JetStream) (*Store, error) {
	s := &Store{js: js}
	err := attempt(ctx, func(ctx context.Context) (err error) {
		s.stream, err = js.Stream(ctx, jet.AccessTokenBucket.Stream())
		return err
	})
	switch {
	case err != nil:
		return nil, failed("open the bucket of tokens", err)
	case s.stream.CachedInfo().Config.AllowDirect: // by a server that lags behind, too
		return nil, fmt.Errorf("%w: bucket %s needs to be without direct gets", jet.ErrForeign, jet.AccessTokenBucket)
	}
	return s, nil
}

// Find returns the token with a secret. ErrUnknown is that the leader of the bucket has none, or that it
// has expired; any other error is that nobody could tell.
//
// That it is used is noted once an hour. Nobody waits for that, and whether it works is not known.
func (s *Store) Find(ctx context.Context, secret string) (subjects.AccessTokenRecord, error) {
	if !subjects.IsAccessToken(secret) {
		return subjects.AccessTokenRecord{}, ErrUnknown
	}
	found, err := s.get(ctx, subjects.AccessTokenKey(secret))
	if err != nil {
		return subjects.AccessTokenRecord{}, err
	}
	now := time.Now().UTC()
	if found.Expired(now) {
		return subjects.AccessTokenRecord{}, ErrUnknown
	}
	if now.Sub(found.LastUsed).Abs() >= useInterval {
		s.noteUse(found, now)
	}
	return found.AccessTokenRecord, nil
}

// token is a record as it is in the bucket.
type token struct {
	subjects.AccessTokenRecord
	key      string
	revision uint64
}

// get returns the token under a key; ErrUnknown is that the leader has none.
func (s *Store) get(ctx context.Context, key string) (token, error) {
	var msg *jetstream.RawStreamMsg
	err := attempt(ctx, func(ctx context.Context) (err error) {
		msg, err = s.stream.GetLastMsgForSubject(ctx, jet.AccessTokenBucket.Subject(key))
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return token{}, ErrUnknown
	case err != nil:
		return token{}, failed("look for a token", err)
	case msg.Header.Get(subjects.KVOperation) != "": // that it was revoked
		return token{}, ErrUnknown
	}
	record, err := subjects.ParseAccessTokenRecord(key, msg.Data)
	if err != nil {
		return token{}, &unreadableError{err}
	}
	return token{AccessTokenRecord: record, key: key, revision: msg.Sequence}, nil
}

// unreadableError is of a record that is there.
type unreadableError struct{ error }

func (e *unreadableError) Unwrap() error { return e.error }

// noteUse writes when a token was used, unless it has changed meanwhile: one that was revoked stays
// so. It asks for no answer.
func (s *Store) noteUse(used token, now time.Time) {
	used.LastUsed = now.Truncate(useInterval)
	msg, err := message(used.key, used.AccessTokenRecord, now)
	if err != nil {
		return
	}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, fmt.Sprint(used.revision))
	_ = s.js.Conn().PublishMsg(msg)
}

// attempt carries out one operation, again while nobody answers.
func attempt(ctx context.Context, operation func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return jet.Again(ctx, operation)
}

// publish stores one message. If it was sent again, the first time may have been carried out.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) error {
	return attempt(ctx, func(ctx context.Context) error {
		if s.js.Conn().IsReconnecting() {
			return nats.ErrConnectionReconnecting // it would be kept, and stored whenever that is over
		}
		_, err := s.js.PublishMsg(ctx, msg, options...)
		return err
	})
}

// failed says what could not be done.
func failed(what string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return ErrNoStore
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%s: this NATS server has no JetStream, or none for the account of this user: connect to one that replicas are on, as an operator: %w", what, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
