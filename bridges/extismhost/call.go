package extismhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	extism "github.com/extism/go-sdk"
)

// Failures of a call that Navidrome tells from the others.
var (
	// ErrNoFunction is that of an export that the plugin does not have. Navidrome takes it as "nothing found".
	ErrNoFunction = errors.New("function not found")
	// ErrNotImplemented is that of an export that returned -2 without an error text.
	ErrNotImplemented = errors.New("not implemented")
)

// notImplemented is -2 as the code of a call.
const notImplemented = 0xFFFFFFFE

// Call calls an export, with a new instance, which is closed afterwards. The request is passed as JSON, a nil one as {}; json.RawMessage
// goes as it is. The output is decoded into response if there is one; a nil response is that of a function without a result, whose output
// is decoded all the same. ErrNoFunction and ErrNotImplemented are told apart; the text of any other error is what Navidrome would log.
func (p *Plugin) Call(ctx context.Context, export string, request, response any) error {
	output, err := p.Output(ctx, export, request)
	if err != nil || len(output) == 0 {
		return err
	}
	if response == nil {
		response = &struct{}{}
	}
	if err := json.Unmarshal(output, response); err != nil {
		return fmt.Errorf("output of %s: %w", export, err)
	}
	return nil
}

// Output calls an export as Call does and returns what it has put out.
func (p *Plugin) Output(ctx context.Context, export string, request any) (output []byte, err error) {
	input := []byte("{}")
	if request != nil {
		if input, err = json.Marshal(request); err != nil {
			return nil, fmt.Errorf("request of %s: %w", export, err)
		}
	}
	return p.OutputOf(ctx, export, input)
}

// OutputOf calls an export as Call does with bytes of any kind, and returns what it has put out.
func (p *Plugin) OutputOf(ctx context.Context, export string, input []byte) (_ []byte, err error) {
	instance, err := p.instance(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, errors.Join(ctx.Err(), closeInstance(ctx, instance))
	case err != nil:
		return nil, err
	}
	defer func() { err = errors.Join(err, closeInstance(ctx, instance)) }()
	if !instance.FunctionExists(export) {
		return nil, fmt.Errorf("%w: %s", ErrNoFunction, export)
	}
	code, output, err := instance.CallWithContext(ctx, export, input)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("plugin call failed: %w", err)
	case code == notImplemented:
		return nil, fmt.Errorf("%w: %s", ErrNotImplemented, export)
	case code != 0:
		return nil, fmt.Errorf("plugin call exited with code %d", code)
	}
	return output, nil
}

// closeInstance closes an instance if there is one, also after its caller has given up.
func closeInstance(ctx context.Context, instance *extism.Plugin) error {
	if instance == nil {
		return nil
	}
	if err := instance.Close(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("close an instance: %w", err)
	}
	return nil
}
