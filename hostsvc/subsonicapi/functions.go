package subsonicapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
)

// Caller is a service whose requests are bounded, such as Service.
type Caller interface {
	api.SubsonicAPIService
	// Refuse answers in the place of Call a request that is over its limit, or for which
	// there is no memory, as err says.
	Refuse(ctx context.Context, err error) *api.CallResponse
}

// Functions are those that a guest imports of a service.
func Functions(service Caller) []host.Function {
	return host.Limited(api.Functions(service), map[string]host.Limit{
		"call": {MaxRequest: maxURL + host.Framing, Refuse: host.Answer(func(ctx context.Context, err error) (*api.CallResponse, error) {
			return service.Refuse(ctx, err), nil
		})},
	})
}

// Refuse implements Caller, and logs the refusal.
func (s *Service) Refuse(ctx context.Context, err error) *api.CallResponse {
	var tooLong *host.RequestError
	if errors.As(err, &tooLong) {
		err = fmt.Errorf("invalid URL format: %w: the URL has at most %d bytes", err, maxURL)
	}
	return s.answer(ctx, refused("", err))
}
