package tokenstore

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// Create makes a token and returns its secret, which is kept nowhere. ErrTooMany is that there are as many as may be; any
// other error is of the grant, or leaves a token that nobody knows the secret of, or none.
func (s *Store) Create(ctx context.Context, grant subjects.AccessTokenGrant) (secret string, record subjects.AccessTokenRecord, err error) {
	now := time.Now().UTC()
	if err := grant.Check(); err != nil {
		return "", record, fmt.Errorf("make a token: %w", err)
	}
	if grant.Expired(now) {
		return "", record, fmt.Errorf("make a token: it would have expired at %s", grant.Expires.Format(time.RFC3339))
	}
	keys, err := s.keys(ctx)
	if err != nil {
		return "", record, err
	}
	if len(keys) >= MaxTokens {
		return "", record, ErrTooMany
	}
	taken := make(map[string]bool, len(keys))
	for _, key := range keys {
		taken[subjects.AccessTokenID(key)] = true
	}
	var key string
	for secret == "" || taken[record.ID] {
		secret = newSecret()
		key = subjects.AccessTokenKey(secret)
		record = subjects.AccessTokenRecord{V: subjects.Version, ID: subjects.AccessTokenID(key), AccessTokenGrant: grant, Created: now}
	}
	msg, err := message(key, record, now)
	if err != nil {
		return "", record, fmt.Errorf("make a token: %w", err)
	}
	err = s.publish(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil && !errors.Is(jet.MovedOr(err), jet.ErrMoved) { // by an attempt before, as nobody else knows the secret
		return "", record, failed("make a token", err)
	}
	return secret, record, nil
}

// century is longer than anything here lasts, and far below the longest time.Duration.
const century = 100 * 365 * 24 * time.Hour

func newSecret() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // which never fails
	return subjects.AccessTokenPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(bits[:]))
}

// message writes a token. One that expires goes by itself some time later.
func message(key string, record subjects.AccessTokenRecord, now time.Time) (*nats.Msg, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	msg := jet.AccessTokenBucket.Message(key, body)
	if !record.Expires.IsZero() {
		setTTL(msg, min(record.Expires.Sub(now), century)+keepExpired)
	}
	return msg, nil
}

// setTTL has a message go after some time, in whole seconds.
func setTTL(msg *nats.Msg, after time.Duration) {
	msg.Header.Set(jetstream.MsgTTLHeader, fmt.Sprintf("%ds", after/time.Second))
}
