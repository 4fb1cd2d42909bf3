package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/cache"
)

const (
	// maxKey is the longest key, in bytes.
	maxKey = 16 << 10
	// storeCopies is how many copies of a value there are on its way to the store,
	// readCopies on its way back, without those in messages of the plugin.
	storeCopies, readCopies = 3, 2
)

// Functions are those that a guest imports, each with its limit. What is too long to be
// stored is not stored, and what is asked for by too long a key is not there.
func (s *Service) Functions() []host.Function {
	key := maxKey + host.Framing
	value := int(s.config.MaxValue) + key
	set := host.Answer(func(_ context.Context, err error) (*api.SetResponse, error) {
		if isTooLong(err) {
			err = fmt.Errorf("%w: [Cache] MaxValue is %d, and a key has at most %d bytes", err, s.config.MaxValue, maxKey)
		}
		return s.refused("", err), nil
	})
	return host.Limited(api.Functions(s), map[string]host.Limit{
		"set_string": {MaxRequest: value, Refuse: set},
		"set_bytes":  {MaxRequest: value, Refuse: set},
		"set_int":    {MaxRequest: key, Refuse: set},
		"set_float":  {MaxRequest: key, Refuse: set},
		"get_string": {MaxRequest: key, Refuse: absent(&api.GetStringResponse{})},
		"get_bytes":  {MaxRequest: key, Refuse: absent(&api.GetBytesResponse{})},
		"get_int":    {MaxRequest: key, Refuse: absent(&api.GetIntResponse{})},
		"get_float":  {MaxRequest: key, Refuse: absent(&api.GetFloatResponse{})},
		"has":        {MaxRequest: key, Refuse: absent(&api.HasResponse{})},
		"remove": {MaxRequest: key, Refuse: host.Answer(func(_ context.Context, err error) (*api.RemoveResponse, error) {
			if !isTooLong(err) {
				s.warn("a value could not be removed from the cache", "", err)
			}
			return &api.RemoveResponse{Success: isTooLong(err)}, nil
		})},
	})
}

func isTooLong(err error) bool {
	var tooLong *host.RequestError
	return errors.As(err, &tooLong)
}

// absent answers a question by too long a key. One for which there is no memory is not
// answered.
func absent(response interface{ MarshalVT() ([]byte, error) }) func(context.Context, error) ([]byte, error) {
	return func(_ context.Context, err error) ([]byte, error) {
		if !isTooLong(err) {
			return nil, err
		}
		return response.MarshalVT()
	}
}
