package secure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// exampleTransport returns a directory for the endpoint of one example. On Darwin
// endpoints have no directory.
func exampleTransport() (transport.Config, func()) {
	if runtime.GOOS == "darwin" {
		return transport.Config{}, func() {}
	}
	dir, err := os.MkdirTemp("", "sealport-example-")
	if err != nil {
		panic(err)
	}
	return transport.Config{Dir: filepath.Join(dir, "endpoints")}, func() { _ = os.RemoveAll(dir) }
}

func ExampleNewSecureHost() {
	where, remove := exampleTransport()
	defer remove()
	hostKey, clientKey := keys.Generate(), keys.Generate()

	host, err := secure.NewSecureHost("com.example.greeter", func(ctx context.Context, m transport.Message[string]) {
		known := m.Session.PeerKey().Equal(clientKey.Public())
		_ = m.Reply(ctx, fmt.Sprintf("hello %s, known: %v", m.Body, known))
	}, &secure.Config{Transport: where, Key: hostKey, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	client, err := secure.NewSecureClient[string](context.Background(), "com.example.greeter",
		&secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(hostKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := client.Send(context.Background(), "Ada"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Receive(context.Background()))
	// Output: hello Ada, known: true <nil>
}

func ExampleNewSecureClient() {
	where, remove := exampleTransport()
	defer remove()
	expected, squatter, clientKey := keys.Generate(), keys.Generate(), keys.Generate()

	// Another program serves the endpoint.
	host, err := secure.NewSecureHost("com.example.greeter", func(context.Context, transport.Message[string]) {},
		&secure.Config{Transport: where, Key: squatter, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	_, err = secure.NewSecureClient[string](context.Background(), "com.example.greeter",
		&secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(expected.Public())})
	fmt.Println(errors.Is(err, secure.ErrHandshake), errors.Is(err, keys.ErrUntrusted))
	// Output: true true
}

// hexadecimal is a codec of the application's own.
type hexadecimal struct{}

func (hexadecimal) Append(dst []byte, v uint32) ([]byte, error) {
	return fmt.Appendf(dst, "%x", v), nil
}

func (hexadecimal) Decode(p []byte) (v uint32, err error) {
	_, err = fmt.Sscanf(string(p), "%x", &v)
	return v, err
}

func ExampleListen() {
	where, remove := exampleTransport()
	defer remove()
	hostKey, clientKey := keys.Generate(), keys.Generate()
	ctx := context.Background()

	l, err := secure.Listen("com.example.raw", &secure.Config{Transport: where, Key: hostKey, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	client, err := secure.Dial(ctx, "com.example.raw", &secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(hostKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	host, err := l.Accept(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	if err := client.Send(ctx, []byte("sealed")); err != nil {
		fmt.Println(err)
		return
	}
	p, err := host.Receive(ctx)
	fmt.Printf("%s %v\n", p, err)
	// Output: sealed <nil>
}

func ExampleNewSecureHostWithService() {
	where, remove := exampleTransport()
	defer remove()
	hostKey, clientKey := keys.Generate(), keys.Generate()
	ctx := context.Background()

	host, err := secure.NewSecureHostWithService("com.example.greeter", transport.Service[string]{
		OnConnect: func(_ context.Context, s *transport.Session[string]) error {
			fmt.Println("known:", s.PeerKey().Equal(clientKey.Public()))
			return nil
		},
		Handle: func(ctx context.Context, m transport.Message[string]) { _ = m.Reply(ctx, "hello, "+m.Body) },
	}, &secure.Config{Transport: where, Key: hostKey, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	client, err := secure.NewSecureClient[string](ctx, "com.example.greeter",
		&secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(hostKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := client.Send(ctx, "Ada"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Receive(ctx))
	// Output:
	// known: true
	// hello, Ada <nil>
}

func ExampleNewSecureClientWithCodec() {
	where, remove := exampleTransport()
	defer remove()
	hostKey, clientKey := keys.Generate(), keys.Generate()
	ctx := context.Background()

	host, err := secure.NewSecureHostWithService("com.example.counter", transport.Service[uint32]{
		Codec:  hexadecimal{},
		Handle: func(ctx context.Context, m transport.Message[uint32]) { _ = m.Reply(ctx, m.Body+1) },
	}, &secure.Config{Transport: where, Key: hostKey, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	client, err := secure.NewSecureClientWithCodec(ctx, "com.example.counter", hexadecimal{},
		&secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(hostKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := client.Send(ctx, 255); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Receive(ctx))
	// Output: 256 <nil>
}

func ExampleDial() {
	where, remove := exampleTransport()
	defer remove()
	hostKey, clientKey := keys.Generate(), keys.Generate()
	ctx := context.Background()

	l, err := secure.Listen("com.example.raw", &secure.Config{Transport: where, Key: hostKey, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	conn, err := secure.Dial(ctx, "com.example.raw", &secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(hostKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println("the host's key is the pinned one:", conn.PeerKey().Equal(hostKey.Public()))
	// Output: the host's key is the pinned one: true
}
