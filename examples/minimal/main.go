// Command minimal is a host, or, with a name as its argument, a client.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sealport/sealport/transport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		client, err := transport.NewClient[string](ctx, "com.example.minimal", nil)
		check(err)
		check(client.Send(ctx, os.Args[1]))
		answer, err := client.Receive(ctx)
		check(err)
		log.Println(client.Peer(), "answers", answer)
		check(client.Close())
		return
	}
	host, err := transport.NewHost("com.example.minimal", func(ctx context.Context, m transport.Message[string]) {
		log.Println(m.Session.Peer(), "says", m.Body)
		_ = m.Reply(ctx, "hello, "+m.Body)
	}, nil)
	check(err)
	log.Println("serving", host.Endpoint())
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(host.Shutdown(ending)) // handles what clients have sent
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
