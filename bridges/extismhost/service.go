package extismhost

import (
	"context"
	"encoding/json"

	extism "github.com/extism/go-sdk"
)

// serviceFunction is a function of a host service: a block of JSON in, a block of JSON out. A failure of serve is told in the answer,
// and so is a request that cannot be read.
func serviceFunction[Request, Response any](name string, serve func(context.Context, Request) (Response, error)) extism.HostFunction {
	block := []extism.ValueType{extism.ValueTypePTR}
	return extism.NewHostFunctionWithStack(name, func(ctx context.Context, plugin *extism.CurrentPlugin, stack []uint64) {
		stack[0] = write(plugin, answer(ctx, plugin, stack[0], serve))
	}, block, block)
}

func answer[Request, Response any](ctx context.Context, plugin *extism.CurrentPlugin, handle uint64, serve func(context.Context, Request) (Response, error)) any {
	input, err := plugin.ReadBytes(handle)
	if err != nil {
		return failure{err.Error()}
	}
	var request Request
	if err := json.Unmarshal(input, &request); err != nil {
		return failure{err.Error()}
	}
	response, err := serve(ctx, request)
	if err != nil {
		return failure{err.Error()}
	}
	return response
}

// instead is a function of a host service whose answers are any bytes: none are no block.
func instead(name string, serve func([]byte) []byte) extism.HostFunction {
	block := []extism.ValueType{extism.ValueTypePTR}
	return extism.NewHostFunctionWithStack(name, func(_ context.Context, plugin *extism.CurrentPlugin, stack []uint64) {
		input, err := plugin.ReadBytes(stack[0])
		stack[0] = 0
		if err != nil {
			return
		}
		if output := serve(input); len(output) > 0 {
			if handle, err := plugin.WriteBytes(output); err == nil {
				stack[0] = handle
			}
		}
	}, block, block)
}

// failure is the answer of a function that failed. It has no error where there is none: an empty one would count.
type failure struct {
	Error string `json:"error"`
}

// write puts an answer into a new block: 0 if that cannot be had.
func write(plugin *extism.CurrentPlugin, response any) uint64 {
	output, err := json.Marshal(response)
	if err != nil {
		return 0
	}
	handle, err := plugin.WriteBytes(output)
	if err != nil {
		return 0
	}
	return handle
}

// configRequest and configResponse are those of config_get.
type configRequest struct {
	Key string `json:"key"`
}

type configResponse struct {
	Value  string `json:"value,omitempty"`
	Exists bool   `json:"exists,omitempty"`
}

// configGet is the function config_get. Unlike the kernel's, it tells an empty value from none.
func configGet(config map[string]string) extism.HostFunction {
	return serviceFunction("config_get", func(_ context.Context, request configRequest) (configResponse, error) {
		value, exists := config[request.Key]
		return configResponse{Value: value, Exists: exists}, nil
	})
}
