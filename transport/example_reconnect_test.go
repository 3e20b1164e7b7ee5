package transport_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sealport/sealport/transport"
)

// A client whose requests survive that the host is restarted. Each request has a number,
// which the host repeats.
func ExampleDisconnectedError() {
	type message struct {
		ID   int
		Text string
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	serve := func(name string) *transport.Host[message] {
		host, err := transport.NewHost("com.example.restarted", func(ctx context.Context, m transport.Message[message]) {
			_ = m.Reply(ctx, message{m.Body.ID, name + " says hello, " + m.Body.Text})
		}, nil)
		if err != nil {
			log.Fatal(err)
		}
		return host
	}
	host := serve("the first host")
	client, err := transport.NewClient[message](ctx, "com.example.restarted", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	var ended uint64 // the last Generation that was reported
	ask := func(question message) (message, error) {
		var gone *transport.DisconnectedError
		for {
			err := client.Send(ctx, question)
			if err == nil {
				break
			}
			if !errors.As(err, &gone) {
				return message{}, err
			}
			// The question was not sent, and goes to the next host.
			fmt.Println("Send reports the end of connection", gone.Generation)
			ended = gone.Generation
		}
		for {
			answer, err := client.Receive(ctx)
			switch {
			case err == nil && answer.ID == question.ID:
				return answer, nil
			case err == nil:
				// The answer to a question that was given up.
			case errors.As(err, &gone) && gone.Generation <= ended:
				// The question was sent after this.
				fmt.Println("Receive reports the end of connection", gone.Generation)
			case errors.As(err, &gone):
				// The host may have handled the question, but there will be no
				// answer. Who may ask twice asks again.
				ended = gone.Generation
				return message{}, err
			default:
				return message{}, err
			}
		}
	}

	answer, err := ask(message{1, "Ada"})
	fmt.Println(answer.Text, err)
	if err := host.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	host = serve("the next host")
	defer host.Close()
	answer, err = ask(message{2, "Grace"})
	fmt.Println(answer.Text, err)
	// Output:
	// the first host says hello, Ada <nil>
	// Send reports the end of connection 1
	// Receive reports the end of connection 1
	// the next host says hello, Grace <nil>
}
