package main

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/pluginhost/pluginhost/config"
)

const defaultCallTimeout = 10 * time.Second

// clientConfig is what the commands that talk to running replicas need.
type clientConfig struct {
	config.Client
	Timeout time.Duration // for one call of a plugin; 10 s for commands without the flag
	JSON    bool          // print for machines
	// InboxPrefix begins the subjects of replies; empty is that of nats.go.
	InboxPrefix string
}

// sources are the flags of a command, and the variables that env has.
func sources(flags *pflag.FlagSet, env func(string) (string, bool)) config.Sources {
	return config.Sources{Env: env, Flag: func(name string) (string, bool) {
		flag := flags.Lookup(name)
		if flag == nil || !flag.Changed {
			return "", false
		}
		return flag.Value.String(), true
	}}
}

// loadClientConfig puts together what a command needs that has the flags of addClientFlags. env is os.LookupEnv or a
// stand-in. Any error is a *config.LoadError.
func loadClientConfig(flags *pflag.FlagSet, env func(string) (string, bool)) (clientConfig, error) {
	var faults []*config.Fault
	note := func(err error) {
		var (
			all *config.LoadError
			one *config.Fault
		)
		switch {
		case errors.As(err, &all):
			faults = append(faults, all.Faults...)
		case errors.As(err, &one):
			faults = append(faults, one)
		}
	}
	from := sources(flags, env)
	loaded, err := config.LoadClient(from)
	note(err)
	client := clientConfig{Client: loaded, Timeout: defaultCallTimeout}
	if flags.Lookup("inbox-prefix") != nil {
		client.InboxPrefix, err = config.LoadInboxPrefix(from)
		note(err)
	}
	if flags.Lookup("timeout") != nil {
		client.Timeout, err = config.LoadTimeout(from, defaultCallTimeout)
		note(err)
	}
	if flag := flags.Lookup("json"); flag != nil {
		client.JSON = flag.Value.String() == "true"
	}
	if len(faults) > 0 {
		return clientConfig{}, &config.LoadError{Faults: faults}
	}
	return client, nil
}
