// Launchd is a host that launchd starts when its first client connects, and the
// client. README.md says how to install it on a Mac; elsewhere the host is
// started by hand.
//
//	launchd serve        what the property list runs: prints what arrives
//	launchd say TEXT     sends one message and waits until it was handled
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sealport/sealport/transport"
)

// endpoint is the key in the property list's MachServices.
const endpoint = "com.example.sealport.greeter"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "launchd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx)
	case len(args) > 1 && args[0] == "say":
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return say(ctx, strings.Join(args[1:], " "))
	}
	return errors.New("usage: launchd serve | launchd say TEXT")
}

// serve hosts the endpoint until launchd, or the user, ends it.
func serve(ctx context.Context) error {
	host, err := transport.NewHost(endpoint, func(_ context.Context, m transport.Message[[]byte]) {
		fmt.Printf("%v says: %s\n", m.Session.Peer(), m.Body)
		if err := m.Reply(ctx, []byte("heard")); err != nil {
			fmt.Fprintln(os.Stderr, "launchd:", err)
		}
	}, nil)
	if err != nil {
		return err
	}
	fmt.Println("serving", endpoint)
	<-ctx.Done()
	return host.Close()
}

// say sends text and waits for the host's answer.
func say(ctx context.Context, text string) error {
	conn, err := transport.Dial(ctx, endpoint, nil)
	if err != nil {
		return err
	}
	err = conn.Send(ctx, []byte(text))
	var answer []byte
	if err == nil {
		answer, err = conn.Receive(ctx)
	}
	if err == nil {
		fmt.Printf("%v: %s\n", conn.Peer(), answer)
	}
	return errors.Join(err, conn.Close())
}
