package http

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// Functions are those that a guest imports. All take a body, as long as it may be with
// those that send one.
func (s *Service) Functions() []host.Function {
	limit := host.Limit{
		MaxRequest: int(s.config.MaxBody) + egress.MaxHeaderMessage + netguard.MaxURLLength + host.Framing,
		Refuse: host.Answer(func(_ context.Context, err error) (*api.HttpResponse, error) {
			var tooLong *host.RequestError
			if errors.As(err, &tooLong) {
				err = fmt.Errorf("%w: a body has at most %d bytes, all headers together %d, the URL %d", err, s.config.MaxBody, egress.MaxHeaderBytes, netguard.MaxURLLength)
			}
			return &api.HttpResponse{Error: err.Error()}, nil
		}),
	}
	functions := api.Functions(s)
	limits := make(map[string]host.Limit, len(functions))
	for _, function := range functions {
		limits[function.Name] = limit
	}
	return host.Limited(functions, limits)
}
