// Secure-helper is a privileged helper: a host that root runs, which changes a
// few settings of the machine, for one program of one user only.
//
//	secure-helper keygen DIR             make a key in DIR, or show it again: its public half
//	secure-helper serve FLAGS            the helper; root runs it
//	secure-helper ask FLAGS WORDS        the client; the user's program runs it
//
// where WORDS are one of
//
//	who                 what the helper knows about the client
//	list                all settings
//	get NAME            one setting
//	set NAME VALUE      change it
//
// README.md shows how to set it up and what each layer of defence is for.
//
// The exit code is 0 for success, 2 for a wrong command line, 3 if the helper
// refused the client, 4 if the process that answered is not the expected helper,
// and 1 for any other error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// Defaults of both sides' flags.
const (
	defaultEndpoint = "com.example.secure-helper"
	defaultDir      = "/run/secure-helper"
)

// errUsage means that the command line is wrong.
var errUsage = errors.New("usage: secure-helper keygen DIR | serve FLAGS | ask FLAGS who | list | get NAME | set NAME VALUE")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "secure-helper:", err)
	}
	os.Exit(exitCode(err))
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "keygen":
		return keygen(ctx, args[1:])
	case "serve":
		return serve(ctx, args[1:])
	case "ask":
		return ask(ctx, args[1:])
	}
	return errUsage
}

// keyName is the name of the key in its directory: the file is helper.key.
const keyName = "helper"

// keygen makes a key, unless there is one, and prints its public half.
func keygen(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	key, err := keys.LoadOrGenerate(ctx, &keys.FileStore{Dir: args[0]}, keyName)
	if err != nil {
		return err
	}
	fmt.Println(key.Public())
	return nil
}

func exitCode(err error) int {
	var refused *peer.RefusedError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, keys.ErrTrustFile):
		return 1 // it is an ErrUntrusted too, but the file is at fault, not the helper
	case errors.As(err, &refused), errors.Is(err, keys.ErrUntrusted):
		return 4 // we refused
	case errors.Is(err, transport.ErrRefused), errors.Is(err, secure.ErrHandshake), errors.Is(err, transport.ErrDisconnected):
		return 3
	}
	return 1
}

// parse parses flags. All flags without a default must be given.
func parse(f *flag.FlagSet, args []string, optional ...string) error {
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	skip := map[string]bool{}
	for _, name := range optional {
		skip[name] = true
	}
	var err error
	f.VisitAll(func(g *flag.Flag) {
		if g.Value.String() == "" && !skip[g.Name] {
			err = errors.Join(err, fmt.Errorf("%w: -%s is missing", errUsage, g.Name))
		}
	})
	return err
}
