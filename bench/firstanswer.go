package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// firstAnswerArgument makes this program, as its first argument, the process
// that runFirstAnswer describes.
const firstAnswerArgument = "first-answer"

// firstAnswer runs this program in a process of its own, that has touched
// nothing yet, and takes from it how long the first answer took.
func (b *bench) firstAnswer(ctx context.Context) (time.Duration, error) {
	program, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("path of this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, firstAnswerArgument, b.cache(), b.guestFile(guestAgent))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("process for a first answer: %w\n%s", err, stderr.Bytes())
	}
	took, err := time.ParseDuration(strings.TrimSpace(string(out)))
	if err != nil {
		return 0, fmt.Errorf("process for a first answer: %w", err)
	}
	return took, nil
}

// runFirstAnswer is the process: its arguments are the folder of compiled code
// and the file of the agent, and it prints how long it takes from a new runtime
// to the agent's first answer. Reading the file does not count.
func runFirstAnswer(args []string) (code int) {
	if len(args) != 2 {
		fmt.Fprintf(os.Stderr, "%s: want a cache folder and a file, got %q\n", firstAnswerArgument, args)
		return exitUsage
	}
	took, err := answerFirst(context.Background(), args[0], args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	fmt.Println(took)
	return 0
}

func answerFirst(ctx context.Context, cache, file string) (took time.Duration, err error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read the agent: %w", err)
	}
	functions, err := upstream()
	if err != nil {
		return 0, err
	}
	body, err := request().MarshalVT()
	if err != nil {
		return 0, fmt.Errorf("encode the request: %w", err)
	}
	options := moduleOptions(wasmrt.Limits{})
	options.Functions = functions

	start := time.Now()
	h, err := openHost(cache)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	module, err := h.load(ctx, wasm, options)
	if err != nil {
		return 0, fmt.Errorf("load the agent: %w", err)
	}
	if err := repeat(moduleAnswers(module), body)(ctx, 0); err != nil {
		return 0, fmt.Errorf("call the agent: %w", err)
	}
	return time.Since(start), nil
}
