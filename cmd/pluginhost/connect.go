package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// refusedError says that the NATS server does not let the user of a command do what it has to.
type refusedError struct{ err error }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the NATS server refuses this user what the command needs: %v; connect as a user that may, with --nats or --creds, and where it is an inbox that is refused, with the --inbox-prefix of the user", e.err)
}

func (e *refusedError) Unwrap() error { return e.err }

// untilRefused returns a context that ends, with a *refusedError, when the server refuses
// something on the connection that has the option: a request that is not passed on is never
// answered.
func untilRefused(ctx context.Context) (context.Context, nats.Option) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			cancel(&refusedError{err})
		}
	})
}

// orRefusal is the refusal that has ended a context of untilRefused, and else an error.
func orRefusal(ctx context.Context, err error) error {
	var refused *refusedError
	if errors.As(context.Cause(ctx), &refused) {
		return refused
	}
	return err
}

// connectUntilRefused is connect for a command that can do nothing without the replicas: its
// context is one of untilRefused.
func connectUntilRefused(cmd *cobra.Command) (*client.Client, *nats.Conn, clientConfig, error) {
	ctx, option := untilRefused(cmd.Context())
	cmd.SetContext(ctx)
	return connect(cmd, option)
}

// connect loads the configuration of a client command and connects to NATS. The
// caller closes the connection.
func connect(cmd *cobra.Command, more ...nats.Option) (*client.Client, *nats.Conn, clientConfig, error) {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return nil, nil, config, err
	}
	dial := []nats.Option{nats.Name("pluginhost " + cmd.Name()), nats.MaxReconnects(0)}
	if config.Creds != "" {
		dial = append(dial, nats.UserCredentials(config.Creds))
	}
	if config.TLS.CA != "" {
		dial = append(dial, nats.RootCAs(config.TLS.CA))
	}
	if config.TLS.Cert != "" {
		dial = append(dial, nats.ClientCert(config.TLS.Cert, config.TLS.Key))
	}
	if config.InboxPrefix != "" {
		dial = append(dial, nats.CustomInboxPrefix(config.InboxPrefix))
	}
	conn, err := nats.Connect(config.NATSURL, append(dial, more...)...)
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return nil, nil, config, fmt.Errorf("no NATS server at %s: start pluginhost serve, or name another with --nats", subjects.WithoutUser(config.NATSURL))
	case err != nil:
		return nil, nil, config, fmt.Errorf("connect to NATS at %s: %w", subjects.WithoutUser(config.NATSURL), err)
	}
	return client.New(conn), conn, config, nil
}
