//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/pluginhost/pluginhost/testenv/soak/overload"
)

// loadArgument has the program bear a load instead: callers should not take the
// processors of the host unseen.
const loadArgument = "bear-load"

// bearLoad bears the load that it reads and writes the outcome, both as JSON.
func bearLoad(ctx context.Context, in io.Reader, out io.Writer) error {
	var load overload.Load
	if err := json.NewDecoder(in).Decode(&load); err != nil {
		return fmt.Errorf("read the load: %w", err)
	}
	outcome, err := overload.Bear(ctx, load)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(outcome)
}

// bearElsewhere has another process bear the load.
func bearElsewhere(ctx context.Context, load overload.Load) (overload.Outcome, error) {
	var outcome overload.Outcome
	program, err := os.Executable()
	if err != nil {
		return outcome, err
	}
	in, err := json.Marshal(load)
	if err != nil {
		return outcome, err
	}
	cmd := exec.CommandContext(ctx, program, loadArgument)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	// It is told to end by us alone, also by Ctrl-C, and then tells what was until
	// then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	err = cmd.Run()
	if ctx.Err() == nil && err != nil {
		return outcome, fmt.Errorf("callers in another process: %w", err)
	}
	if err := json.Unmarshal(out.Bytes(), &outcome); err != nil {
		return outcome, fmt.Errorf("read the outcome: %w", err)
	}
	return outcome, nil
}
