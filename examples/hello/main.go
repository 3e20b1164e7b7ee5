// Hello shows sealport at work: a host in one process, a client in another.
//
//	go run ./examples/hello          a built-in text, and how fast it goes
//	go run ./examples/hello FILE     FILE's lines
//	go run ./examples/hello -        standard input's lines
//
// The host's process prints every line that arrives to standard output, once and
// in order, as "host: " and the line. What else there is to say goes to standard
// error. The exit code is 0 only if as many lines arrived as were sent.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sealport/sealport/transport"
)

// roleVariable tells the re-executed program that it is the host, and for which
// endpoint.
const roleVariable = "SEALPORT_HELLO_HOST"

const builtIn = `Hello!
Each of these lines is a typed message
from the client's process to the host's,
through memory that only these two share.
The kernel says who sent them.`

func main() {
	var err error
	if endpoint := os.Getenv(roleVariable); endpoint != "" {
		err = host(endpoint)
	} else {
		err = run(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// run is the client's process. It starts the host's.
func run(args []string) error {
	input, isText, err := open(args)
	if err != nil {
		return err
	}
	defer input.Close()

	endpoint := fmt.Sprintf("com.example.hello.%d", os.Getpid())
	hostProcess, err := start(endpoint)
	if err != nil {
		return err
	}
	err = talk(endpoint, input, isText)
	if err != nil {
		_ = hostProcess.Process.Kill()
	}
	return errors.Join(err, hostProcess.Wait())
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

// start runs this program again as the host and waits until it serves.
func start(endpoint string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ready, signal, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+endpoint)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{signal} // descriptor 3 there
	err = cmd.Start()
	_ = signal.Close()
	if err != nil {
		return nil, err
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return nil, errors.Join(errors.New("the host's process did not start"), cmd.Wait())
	}
	return cmd, nil
}

// talk is the client: it sends the lines and compares the counts.
func talk(endpoint string, input io.Reader, isText bool) error {
	ctx := context.Background()
	client, err := transport.NewClient[note](ctx, endpoint, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Fprintf(os.Stderr, "client: I am pid %d; the host is %v\n", os.Getpid(), client.Peer())

	begin := time.Now()
	sent, err := sendLines(ctx, client, input)
	if err != nil {
		return err
	}
	arrived, err := ask(ctx, client, note{kind: count})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	fmt.Fprintf(os.Stderr, "client: %d lines sent, %d arrived, %s lines/s\n", sent, arrived.number, perSecond(sent, took))
	if isText && arrived.number == sent {
		if err := measure(ctx, client); err != nil {
			return err
		}
	}
	if err := client.Send(ctx, note{kind: bye}); err != nil {
		return err
	}
	if arrived.number != sent {
		return fmt.Errorf("%d lines sent, but %d arrived", sent, arrived.number)
	}
	return nil
}

func sendLines(ctx context.Context, client *transport.Client[note], input io.Reader) (sent uint64, err error) {
	r := bufio.NewReader(input)
	for {
		text, err := r.ReadString('\n')
		if text != "" {
			if err := client.Send(ctx, note{kind: line, text: strings.TrimSuffix(text, "\n")}); err != nil {
				return sent, err
			}
			sent++
		}
		if err == io.EOF {
			return sent, nil
		} else if err != nil {
			return sent, err
		}
	}
}

// ask sends a note and waits for the answer.
func ask(ctx context.Context, client *transport.Client[note], n note) (note, error) {
	if err := client.Send(ctx, n); err != nil {
		return note{}, err
	}
	return client.Receive(ctx)
}

// measure says how fast it goes, on this machine and at this moment.
func measure(ctx context.Context, client *transport.Client[note]) error {
	const messages, trips = 2_000_000, 20_000
	text := strings.Repeat("x", 64)
	begin := time.Now()
	for range messages {
		if err := client.Send(ctx, note{kind: silent, text: text}); err != nil {
			return err
		}
	}
	if _, err := ask(ctx, client, note{kind: count}); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "client: %d messages of 64 bytes, %s messages/s\n", messages, perSecond(messages, time.Since(begin)))

	begin = time.Now()
	for range trips {
		if _, err := ask(ctx, client, note{kind: count}); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "client: %d questions and answers, %.2f µs each\n", trips, float64(time.Since(begin).Nanoseconds())/1e3/trips)
	return nil
}

// perSecond prints a rate with thousands separated.
func perSecond(n uint64, d time.Duration) string {
	digits := fmt.Sprintf("%.0f", float64(n)/d.Seconds())
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
