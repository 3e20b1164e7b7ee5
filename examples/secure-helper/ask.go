package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// askTimeout bounds a question, its answer, and the connection for it.
const askTimeout = 10 * time.Second

// errAnswer means that the helper could not do what it was asked to do. It is
// wrapped together with the helper's message.
var errAnswer = errors.New("the helper says")

// ask asks one question and prints the answer.
func ask(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("ask", flag.ContinueOnError)
	endpoint := f.String("endpoint", defaultEndpoint, "name of the helper's endpoint")
	dir := f.String("dir", defaultDir, "directory of the endpoint")
	keyFile := f.String("key", "", "file with the client's private key; see keygen")
	host := f.String("host", "", "the helper's public key")
	known := f.String("known-hosts", "", "instead of -host: file that remembers the helper's key after the first connection")
	user := f.String("user", "root", "user that the helper must run as, by name or number")
	if err := parse(f, args, "host", "known-hosts"); err != nil {
		return err
	}
	question, err := parseQuestion(f.Args())
	if err != nil {
		return err
	}
	trust, err := hostTrust(*host, *known)
	if err != nil {
		return err
	}
	key, err := keys.LoadFile(*keyFile, nil)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := secure.NewSecureClient[message](ctx, *endpoint, &secure.Config{
		Key:   key,
		Trust: trust,
		// The default policy would accept a host of our own user too.
		Transport: transport.Config{Dir: *dir, Peer: users(*user)},
	})
	if err != nil {
		return err
	}
	answer, err := exchange(ctx, client, question)
	if err := errors.Join(err, client.Close()); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%w: %s", errAnswer, answer.Error)
	}
	if answer.Text != "" {
		fmt.Println(answer.Text)
	}
	return nil
}

func exchange(ctx context.Context, client *transport.Client[message], question message) (message, error) {
	if err := client.Send(ctx, question); err != nil {
		return message{}, err
	}
	return client.Receive(ctx)
}

// parseQuestion makes a message of what follows the flags.
func parseQuestion(words []string) (message, error) {
	switch {
	case len(words) == 1 && (words[0] == "who" || words[0] == "list"):
		return message{Verb: words[0]}, nil
	case len(words) == 2 && words[0] == "get":
		return message{Verb: "get", Name: words[1]}, nil
	case len(words) == 3 && words[0] == "set":
		return message{Verb: "set", Name: words[1], Text: words[2]}, nil
	}
	return message{}, errUsage
}

// hostTrust trusts the helper's key: the one that was given on the command line, or
// the first one seen.
func hostTrust(host, known string) (keys.Trust, error) {
	if (host == "") == (known == "") {
		return nil, fmt.Errorf("%w: set either -host or -known-hosts", errUsage)
	}
	if known != "" {
		return keys.TrustOnFirstUse(known)
	}
	key, err := keys.ParsePublicKey(host)
	if err != nil {
		return nil, fmt.Errorf("%w: -host: %w", errUsage, err)
	}
	return keys.Pin(key), nil
}
