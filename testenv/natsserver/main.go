// Command natsserver is a NATS server for tests: in a process of its own it can be killed, and
// has no race detector. Its argument is a configuration file. It prints its URL once it takes
// connections, and ends with whoever has its standard input.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startTimeout is how long it may take until it takes connections.
const startTimeout = 30 * time.Second

func run(file string) error {
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		return err
	}
	if !s.ReadyForConnections(startTimeout) {
		return errors.New("it takes no connections")
	}
	fmt.Println(s.ClientURL())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Shutdown()
	}()
	s.WaitForShutdown()
	return nil
}
