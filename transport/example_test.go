package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// A host and a client, here in one process. Shutdown handles what was sent.
func ExampleNewHost() {
	host, err := transport.NewHost("com.example.greeter", func(_ context.Context, m transport.Message[string]) {
		fmt.Println("host:", m.Body)
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	client, err := transport.NewClient[string](ctx, "com.example.greeter", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Send(ctx, "hello"); err != nil {
		log.Fatal(err)
	}
	if err := host.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: host: hello
}

// Messages of a struct travel as JSON; the host answers with Reply.
func ExampleNewClient() {
	type sum struct{ A, B, Result int }
	host, err := transport.NewHost("com.example.adder", func(_ context.Context, m transport.Message[sum]) {
		m.Body.Result = m.Body.A + m.Body.B
		if err := m.Reply(context.Background(), m.Body); err != nil {
			log.Print(err)
		}
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := transport.NewClient[sum](ctx, "com.example.adder", &transport.Config{
		Peer:        peer.SameUser(), // stricter than the default, which lets root be the host too
		NoInProcess: true,            // as if the host were in another process
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Send(ctx, sum{A: 2, B: 3}); err != nil {
		log.Fatal(err)
	}
	answer, err := client.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Result)
	// Output: 5
}

// Listen and Dial give connections of bytes, in the manner of package net.
func ExampleListen() {
	l, err := transport.Listen("com.example.shouter", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	ctx := context.Background()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept(ctx)
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		for {
			p, err := conn.Receive(ctx)
			if err == io.EOF { // the client closed, and we have seen everything
				return
			} else if err != nil {
				log.Fatal(err)
			}
			if err := conn.Send(ctx, []byte(strings.ToUpper(string(p)))); err != nil {
				log.Fatal(err)
			}
		}
	}()

	conn, err := transport.Dial(ctx, "com.example.shouter", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.Send(ctx, []byte("is anybody there?")); err != nil {
		log.Fatal(err)
	}
	p, err := conn.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(p))
	if err := conn.Close(); err != nil {
		log.Fatal(err)
	}
	<-served
	// Output: IS ANYBODY THERE?
}

func ExampleDial() {
	_, err := transport.Dial(context.Background(), "com.example.nobody", nil)
	fmt.Println(errors.Is(err, transport.ErrNoHost))
	// Output: true
}

// indented is a codec of one's own.
type indented struct{}

func (indented) Append(b []byte, v map[string]int) ([]byte, error) {
	p, err := json.MarshalIndent(v, "", "  ")
	return append(b, p...), err
}

func (indented) Decode(b []byte) (v map[string]int, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// ContentName tells apart what is not the same: a client with another codec is
// refused when it connects.
func (indented) ContentName() string { return "json:counts" }

func ExampleNewHostWithService() {
	host, err := transport.NewHostWithService("com.example.counts", transport.Service[map[string]int]{
		Codec: indented{},
		OnConnect: func(_ context.Context, s *transport.Session[map[string]int]) error {
			s.SetValue("guest") // whatever the application wants to know of it
			return nil
		},
		Handle: func(_ context.Context, m transport.Message[map[string]int]) {
			fmt.Println(m.Session.Value(), "has", m.Body)
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	client, err := transport.NewClientWithCodec(ctx, "com.example.counts", indented{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Send(ctx, map[string]int{"apples": 3}); err != nil {
		log.Fatal(err)
	}
	if err := host.Shutdown(ctx); err != nil { // handles what was sent
		log.Fatal(err)
	}
	if err := client.Close(); err != nil { // would say if something was lost
		log.Fatal(err)
	}
	// Output: guest has map[apples:3]
}

// The codec that a type has by itself, and a type that has none.
func ExampleCodecOf() {
	type point struct{ X, Y int }
	codec, err := transport.CodecOf[point]()
	if err != nil {
		log.Fatal(err)
	}
	b, err := codec.Append(nil, point{1, 2})
	fmt.Println(string(b), err)
	p, err := codec.Decode(b)
	fmt.Println(p, err)

	_, err = transport.CodecOf[struct{ x, y int }]()
	fmt.Println(errors.Is(err, transport.ErrConfig))
	// Output:
	// {"X":1,"Y":2} <nil>
	// {1 2} <nil>
	// true
}

// A client with other messages than the host's is refused when it connects.
func ExampleNewClientWithCodec() {
	host, err := transport.NewHost("com.example.strict", func(_ context.Context, m transport.Message[string]) {
		fmt.Println("host:", m.Body)
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	_, err = transport.NewClientWithCodec(context.Background(), "com.example.strict", indented{}, nil)
	fmt.Println(errors.Is(err, transport.ErrType))
	// Output: true
}

func ExampleHost_Publish() {
	type price struct{ Cents int }
	host, err := transport.NewHost("com.example.ticker", func(context.Context, transport.Message[price]) {}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	ctx := context.Background()
	client, err := transport.NewClient[price](ctx, "com.example.ticker", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Send(ctx, price{}); err != nil { // so that the host knows it
		log.Fatal(err)
	}
	for len(slices.Collect(host.Sessions())) == 0 {
		runtime.Gosched()
	}
	for _, cents := range []int{1999, 2003} {
		if err := host.Publish(ctx, price{cents}, transport.DropOldest); err != nil {
			log.Fatal(err)
		}
	}
	for p, err := range client.Messages(ctx) {
		fmt.Println(p.Cents, err)
		if p.Cents == 2003 {
			break
		}
	}
	// Output:
	// 1999 <nil>
	// 2003 <nil>
}
