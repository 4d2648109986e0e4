// Shop is one small web shop written several times: as many programs start, as a good engineer
// tunes it, and with hotpath. Without a subcommand it runs them against each other on this
// machine and prints what the cures are worth.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes, as the README says.
const (
	exitOK          = 0
	exitFailed      = 1 // a check failed, or something could not be done
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // a terminal that is closed leaves nothing behind either
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, nil))
}

// run is the whole program. It leaves nothing behind, however it ends. wrap stands around every
// shop that is served by this process; nil: nothing does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer, stderr *os.File, wrap Wrap) int {
	command := "demo"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	o, err := parse(command, args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "shop: %v (shop -h lists the flags)\n", err)
		return exitUsage
	}
	o.terminal, o.wrap = stderr, wrap
	switch {
	case command == "serve" && o.child:
		err = serveChild(ctx, o, stdin, stdout)
	case command == "serve":
		err = serve(ctx, o, stdout)
	case command == "load":
		err = loadOne(ctx, o, stdout)
	case command == "verify":
		err = verify(ctx, o, stdout)
	case command == "ablate":
		err = ablate(ctx, o, stdout)
	default:
		err = demo(ctx, o, stdout)
	}
	switch {
	case ctx.Err() != nil && command != "serve":
		fmt.Fprintln(stderr, "shop: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "shop: %v\n", err)
		return exitFailed
	}
	return exitOK
}
