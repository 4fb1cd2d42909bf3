// Package cache is the host service that keeps values of a plugin for a while,
// for all replicas, and over their restarts.
package cache

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"golang.org/x/time/rate"

	api "github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/sdk/hold"
)

// defaultTTL is how long a value lives that asks for nothing.
const defaultTTL = 24 * time.Hour

// Store keeps the values of one plugin. It is safe for concurrent use.
type Store interface {
	// Set stores a value for ttl, at least a second.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Get returns a value, which is not changed, and whether there is one.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Remove removes a value, which need not be there.
	Remove(ctx context.Context, key string) error
}

// Config is the configuration of a Service.
type Config struct {
	// PluginID is the plugin that the service is for; it is in every log line.
	PluginID string
	// Store keeps the values.
	Store Store
	// MaxValue is the longest value, in bytes.
	MaxValue int64
	// Logger gets a warning for each value that could not be written. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

// Service is the cache of one plugin. What could not be written is success false
// and a line in the log. The responses of reads have no place for a failure, so
// there it is a Go error. It has nothing to close and is safe for concurrent use.
type Service struct {
	config   Config
	warnings *rate.Limiter
}

var _ api.CacheService = (*Service)(nil)

// New makes a service.
func New(config Config) *Service {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Service{config: config, warnings: rate.NewLimiter(1, 10)}
}

// SetString stores a string. Its Go error is always nil, as that of the other
// methods that write.
func (s *Service) SetString(ctx context.Context, r *api.SetStringRequest) (*api.SetResponse, error) {
	return setText(ctx, s, r.GetKey(), kindString, r.GetValue(), r.GetTtlSeconds())
}

// GetString reads a string.
func (s *Service) GetString(ctx context.Context, r *api.GetRequest) (*api.GetStringResponse, error) {
	value, exists, err := read(ctx, s, r.GetKey(), decodeString)
	return &api.GetStringResponse{Exists: exists, Value: value}, err
}

// SetInt stores an integer.
func (s *Service) SetInt(ctx context.Context, r *api.SetIntRequest) (*api.SetResponse, error) {
	return s.set(ctx, r.GetKey(), encodeNumber(kindInt, uint64(r.GetValue())), r.GetTtlSeconds())
}

// GetInt reads an integer.
func (s *Service) GetInt(ctx context.Context, r *api.GetRequest) (*api.GetIntResponse, error) {
	value, exists, err := read(ctx, s, r.GetKey(), decodeInt)
	return &api.GetIntResponse{Exists: exists, Value: value}, err
}

// SetFloat stores a floating-point number.
func (s *Service) SetFloat(ctx context.Context, r *api.SetFloatRequest) (*api.SetResponse, error) {
	return s.set(ctx, r.GetKey(), encodeNumber(kindFloat, math.Float64bits(r.GetValue())), r.GetTtlSeconds())
}

// GetFloat reads a floating-point number.
func (s *Service) GetFloat(ctx context.Context, r *api.GetRequest) (*api.GetFloatResponse, error) {
	value, exists, err := read(ctx, s, r.GetKey(), decodeFloat)
	return &api.GetFloatResponse{Exists: exists, Value: value}, err
}

// SetBytes stores bytes.
func (s *Service) SetBytes(ctx context.Context, r *api.SetBytesRequest) (*api.SetResponse, error) {
	return setText(ctx, s, r.GetKey(), kindBytes, r.GetValue(), r.GetTtlSeconds())
}

// GetBytes reads bytes.
func (s *Service) GetBytes(ctx context.Context, r *api.GetRequest) (*api.GetBytesResponse, error) {
	value, exists, err := read(ctx, s, r.GetKey(), decodeBytes)
	return &api.GetBytesResponse{Exists: exists, Value: value}, err
}

// Remove removes a value of any type.
func (s *Service) Remove(ctx context.Context, r *api.RemoveRequest) (*api.RemoveResponse, error) {
	if len(r.GetKey()) > maxKey {
		return &api.RemoveResponse{Success: true}, nil // there is no such value
	}
	err := s.config.Store.Remove(ctx, r.GetKey())
	if err != nil {
		s.warn("a value could not be removed from the cache", r.GetKey(), err)
	}
	return &api.RemoveResponse{Success: err == nil}, nil
}

// Has says whether there is a value of any type.
func (s *Service) Has(ctx context.Context, r *api.HasRequest) (*api.HasResponse, error) {
	if len(r.GetKey()) > maxKey {
		return &api.HasResponse{}, nil
	}
	_, found, err := s.config.Store.Get(ctx, r.GetKey())
	return &api.HasResponse{Exists: found}, err
}

// setText is set for what may be long; it charges for the copies that are made of it.
func setText[T string | []byte](ctx context.Context, s *Service, key string, k kind, value T, seconds int64) (*api.SetResponse, error) {
	err := s.check(key, int64(len(value)))
	if err == nil {
		err = hold.Bytes(ctx, storeCopies*len(value))
	}
	if err != nil {
		return s.refused(key, err), nil
	}
	return s.set(ctx, key, encodeText(k, value), seconds)
}

// check bounds what a plugin has us keep.
func (s *Service) check(key string, size int64) error {
	switch {
	case len(key) > maxKey:
		return fmt.Errorf("its key has %d bytes, at most %d are taken", len(key), maxKey)
	case size > s.config.MaxValue:
		return fmt.Errorf("it has %d bytes, [Cache] MaxValue is %d", size, s.config.MaxValue)
	}
	return nil
}

func (s *Service) set(ctx context.Context, key string, stored []byte, seconds int64) (*api.SetResponse, error) {
	ttl := defaultTTL
	if seconds > 0 {
		ttl = time.Duration(min(seconds, int64(math.MaxInt64/time.Second))) * time.Second
	}
	err := s.check(key, int64(len(stored))-kindSize)
	if err == nil {
		err = s.config.Store.Set(ctx, key, stored, ttl)
	}
	if err != nil {
		return s.refused(key, err), nil
	}
	return &api.SetResponse{Success: true}, nil
}

// refused is what a plugin is told of a value that is not stored; why, the log tells.
func (s *Service) refused(key string, err error) *api.SetResponse {
	s.warn("a value could not be cached", key, err)
	return &api.SetResponse{}
}

// read returns a value if there is one of the type that decode knows.
func read[T any](ctx context.Context, s *Service, key string, decode func(stored []byte) (T, bool)) (value T, exists bool, err error) {
	if len(key) > maxKey {
		return value, false, nil
	}
	stored, found, err := s.config.Store.Get(ctx, key)
	if err != nil || !found {
		return value, false, err
	}
	if err := hold.Bytes(ctx, readCopies*len(stored)); err != nil {
		return value, false, err
	}
	value, exists = decode(stored)
	return value, exists, nil
}

// maxLoggedKey bounds how much of a key is logged, in bytes.
const maxLoggedKey = 80

func (s *Service) warn(message, key string, err error) {
	if s.warnings.Allow() {
		s.config.Logger.Warn(message, "plugin", s.config.PluginID, "key", key[:min(len(key), maxLoggedKey)], "error", err)
	}
}
