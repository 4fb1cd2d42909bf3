package subsonicapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/api/host"
	api "github.com/pluginhost/pluginhost/api/host/subsonicapi"
)

// Functions are those that a guest imports of a service, such as Service.
func Functions(service api.SubsonicAPIService) []host.Function {
	return host.Limited(api.Functions(service), map[string]host.Limit{
		"call": {MaxRequest: maxURL + host.Framing, Refuse: host.Answer(func(_ context.Context, err error) (*api.CallResponse, error) {
			var tooLong *host.RequestError
			if errors.As(err, &tooLong) {
				err = fmt.Errorf("invalid URL format: %w: the URL has at most %d bytes", err, maxURL)
			}
			return &api.CallResponse{Error: err.Error()}, nil
		})},
	})
}
