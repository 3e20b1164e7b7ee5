// Hello shows sealport at work: one client, and a plain and a secure host in
// separate processes, which receive the same lines.
//
//	go run ./examples/hello          a built-in text, and how fast it goes
//	go run ./examples/hello FILE     FILE's lines
//	go run ./examples/hello -        standard input's lines
//
// The plain host's process prints every line that arrives to standard output,
// once and in order, as "host: " and the line. The secure host prints the
// built-in text only, as "secure host: " and the line; it counts and hashes other
// lines. Everything else goes to standard error: who the client is, what a program
// that reads the shared memory sees, and how fast it went.
//
// The exit code is 0 only if both hosts received exactly the lines that were sent,
// and the shared memory of the secure host did not reveal them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sealport/sealport/keys"
)

const builtIn = `Hello!
Each of these lines is a typed message
from the client's process to the host's,
through memory that only these two share.
The kernel says who sent them.`

func main() {
	var err error
	if text := os.Getenv(partVariable); text != "" {
		var p part
		if err = json.Unmarshal([]byte(text), &p); err == nil {
			err = host(p)
		}
	} else {
		err = run(context.Background(), os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// run is the client's process. It starts the hosts'.
func run(ctx context.Context, args []string) (err error) {
	input, isText, err := open(args)
	if err != nil {
		return err
	}
	defer input.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	name := fmt.Sprintf("com.example.hello.%d", os.Getpid())
	plain, err := newSide(ctx, part{Name: "plain", Endpoint: name, Show: "host: "}, keys.PrivateKey{}, cancel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	show := ""
	if isText {
		show = "secure host: "
	}
	sealed, err := newSide(ctx, part{Name: "secure", Endpoint: name + ".secure", Show: show}, keys.Generate(), cancel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sealed.close()) }()
	return talk(ctx, input, isText, plain, sealed)
}

// open returns what the arguments name. isText is true for the built-in text.
func open(args []string) (input io.ReadCloser, isText bool, err error) {
	switch {
	case len(args) > 1:
		return nil, false, errors.New("usage: hello [FILE | -]")
	case len(args) == 0:
		return io.NopCloser(strings.NewReader(builtIn)), true, nil
	case args[0] == "-":
		return os.Stdin, false, nil
	}
	input, err = os.Open(args[0])
	return input, false, err
}

// talk sends the lines to both, and reports.
func talk(ctx context.Context, input io.Reader, isText bool, plain, sealed *side) error {
	var sample string
	var err error
	if isText {
		// One after the other, to be easier to follow.
		_, err = sendLines(ctx, strings.NewReader(builtIn), plain)
		if err == nil {
			sample, err = sendLines(ctx, input, sealed)
		}
	} else {
		sample, err = sendLines(ctx, input, plain, sealed)
	}
	if err != nil {
		return err
	}
	seen, err := spy(ctx, sample, plain, sealed)
	if err != nil {
		return err
	}
	if isText {
		err = reportSpeed(ctx, plain, sealed)
	} else {
		reportLines(plain, sealed)
	}
	return errors.Join(err, plain.agree(), sealed.agree(), seen)
}
