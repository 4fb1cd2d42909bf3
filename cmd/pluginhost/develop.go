package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// reconnectWait is how often the host is looked for.
const reconnectWait = 250 * time.Millisecond

// develop builds the plugin in a folder whenever its source is saved, has the replicas
// load it and shows what it writes, until the command is interrupted.
func develop(cmd *cobra.Command, id, source, folder string) error {
	back := make(chan struct{}, 1)
	note := func(*nats.Conn) {
		select {
		case back <- struct{}{}:
		default:
		}
	}
	var late atomic.Bool // there was no host at first
	// The host may start later, and restart.
	caller, conn, _, err := connect(cmd, nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectBufSize(-1), nats.RetryOnFailedConnect(true),
		nats.ConnectHandler(func(c *nats.Conn) {
			if late.Load() {
				note(c)
			}
		}), nats.ReconnectHandler(note))
	if err != nil {
		return err
	}
	late.Store(!conn.IsConnected())
	defer conn.Close()
	out := cmd.OutOrStdout()
	output, err := conn.Subscribe(subjects.Event(subjects.EventOutput, id), func(msg *nats.Msg) {
		var event subjects.OutputEvent
		if json.Unmarshal(msg.Data, &event) == nil {
			_, _ = fmt.Fprintf(out, "%s | %s\n", id, unprintable.Replace(event.Text))
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = output.Unsubscribe() }() // the connection closes
	sources, err := author.WatchSources(source, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
	if err != nil {
		return err
	}
	defer sources.Stop()
	if _, err := fmt.Fprintf(out, "Watching %s: save a file to build and load it, Ctrl-C to end\n", source); err != nil {
		return err
	}
	for {
		text, err := buildAndLoad(cmd, caller, id, source, folder)
		switch {
		case cmd.Context().Err() != nil:
			return nil // as asked
		case err != nil:
			return err
		}
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
		select {
		case <-sources.Saved():
		case <-back:
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// buildAndLoad says what came of it: a plugin that does not build or load is what the
// author works on, and no end of the command. The error is that of link.
func buildAndLoad(cmd *cobra.Command, caller *client.Client, id, source, folder string) (text string, err error) {
	begun := time.Now()
	built, err := author.Build(cmd.Context(), source, cmd.ErrOrStderr(), nil) // the replica compiles it next
	switch {
	case errors.Is(err, author.ErrCompiler):
		return "Not built: see above", nil
	case err != nil:
		return "Not built: " + printable(err.Error()), nil
	}
	// Replicas load it as soon as it is linked: what is not built yet would fail there.
	if _, err := link(cmd, folder, id, source); err != nil {
		return "", err
	}
	compiled := time.Now()
	verb := "Built in " + compiled.Sub(begun).Round(time.Millisecond).String()
	if isCompiled, err := author.IsCompiled(source); err == nil && !isCompiled {
		verb = "Checked"
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
	defer cancel()
	answers, err := caller.Refresh(ctx, id)
	if err != nil {
		return verb + ", but not loaded: " + notLoaded(err), nil
	}
	var lines []string
	for _, warning := range built.Warnings {
		lines = append(lines, "Warning: "+printable(warning))
	}
	for _, answer := range answers {
		switch {
		case answer.Outcome == subjects.OutcomeLoaded && !runsOther(source, answer.Plugin):
			lines = append(lines, fmt.Sprintf("%s, loaded by %s in %v", verb, answer.Replica, time.Since(compiled).Round(time.Millisecond)))
		case answer.Outcome == subjects.OutcomeFailed:
			lines = append(lines, fmt.Sprintf("%s, but %s could not load it: %s", verb, answer.Replica, printable(answer.Error)))
		default:
			lines = append(lines, fmt.Sprintf("%s, but on %s %s", verb, answer.Replica, otherFolder(folder)))
		}
	}
	return strings.Join(lines, "\n"), nil
}

// notLoaded says what to do where no host answers.
func notLoaded(err error) string {
	if errors.Is(err, client.ErrNoReplica) || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrNoResponders) {
		return "no host is running; pluginhost serve with the same --plugins loads it when it starts"
	}
	return err.Error()
}

// unprintable are what would break a line that the host has made harmless.
var unprintable = strings.NewReplacer("\n", " ", "\r", " ", "\x1b", "\uFFFD")
