package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/client"
	"github.com/pluginhost/pluginhost/subjects"
)

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
	conn, err := nats.Connect(config.NATSURL, append(dial, more...)...)
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return nil, nil, config, fmt.Errorf("no NATS server at %s: start pluginhost serve, or name another with --nats", subjects.WithoutUser(config.NATSURL))
	case err != nil:
		return nil, nil, config, fmt.Errorf("connect to NATS at %s: %w", subjects.WithoutUser(config.NATSURL), err)
	}
	return client.New(conn), conn, config, nil
}
