// Command bench measures what a plugin call costs beyond a bare NATS echo, what
// running a guest costs alone, and how soon a guest can be stopped and loaded.
// See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == firstAnswerArgument {
		os.Exit(runFirstAnswer(os.Args[2:]))
	}
	os.Exit(run())
}

func run() int {
	var p plan
	flag.BoolVar(&p.quick, "quick", false, "a short run, to see that everything works")
	flag.StringVar(&p.profiles, "profiles", "", "also write a CPU profile of each call over NATS, and of compiling, into this folder")
	flag.IntVar(&p.plays, "plays", 200_000, "how many plays wait where memory is measured, if the run is not to be quick")
	asJSON := flag.Bool("json", false, "print JSON at the end instead of tables")
	only := flag.String("only", "", "measure only the sections whose name or title contains this")
	guided := flag.String("pgo", "", "measure nothing; write a profile of compiling and of calls into this file, for go build -pgo")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench takes no arguments, got %q: see -help\n", flag.Args())
		return exitUsage
	}
	if p.plays < 1 {
		fmt.Fprintf(os.Stderr, "bench: -plays is %d: it takes 1 or more\n", p.plays)
		return exitUsage
	}
	chosen, err := selected(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends it at once.
	context.AfterFunc(ctx, stop)
	if *guided != "" {
		err = guide(ctx, p, *guided)
	} else {
		err = show(ctx, chosen, p, *asJSON)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitFailed
	}
	return 0
}

// show measures sections and prints each as soon as it is over, or all of them
// at the end as JSON.
func show(ctx context.Context, chosen []section, p plan, asJSON bool) error {
	r := newReport()
	if asJSON {
		err := benchmark(ctx, chosen, p, func(o outcome) error {
			r.Sections = append(r.Sections, o)
			return nil
		})
		if err != nil {
			return err
		}
		return r.writeJSON(os.Stdout)
	}
	if err := r.writeHead(os.Stdout); err != nil {
		return err
	}
	return benchmark(ctx, chosen, p, func(o outcome) error { return o.writeTable(os.Stdout) })
}
