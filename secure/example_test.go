package secure_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// exampleFolder is where the examples' endpoints are, so that they meet no others.
// On Darwin endpoints have no folder.
func exampleFolder() (transport.Config, func()) {
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
	where, remove := exampleFolder()
	defer remove()
	hostKey, clientKey := keys.Generate(), keys.Generate()

	host, err := secure.NewSecureHost("com.example.greeter", func(_ context.Context, m transport.Message[string]) {
		known := m.Session.PeerKey().Equal(clientKey.Public())
		_ = m.Reply(context.Background(), fmt.Sprintf("hello %s, known: %v", m.Body, known))
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
	where, remove := exampleFolder()
	defer remove()
	expected, squatter, clientKey := keys.Generate(), keys.Generate(), keys.Generate()

	// Somebody else answers in the host's name.
	host, err := secure.NewSecureHost("com.example.greeter", func(context.Context, transport.Message[string]) {},
		&secure.Config{Transport: where, Key: squatter, Trust: keys.Allow(clientKey.Public())})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	_, err = secure.NewSecureClient[string](context.Background(), "com.example.greeter",
		&secure.Config{Transport: where, Key: clientKey, Trust: keys.Pin(expected.Public())})
	fmt.Println(err != nil)
	// Output: true
}

func ExampleListen() {
	where, remove := exampleFolder()
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
