package keys_test

import (
	"context"
	"fmt"

	"github.com/sealport/sealport/keys"
)

func ExampleGenerate() {
	key := keys.Generate()
	fmt.Println("printing a private key shows", key)
	fmt.Println("its public key begins with", key.Public().String()[:9])
	// Output:
	// printing a private key shows [sealport secret]
	// its public key begins with sealport1
}

func ExampleParsePublicKey() {
	_, err := keys.ParsePublicKey("sealport1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73eq4fxhrs")
	fmt.Println(err)
	key, err := keys.ParsePublicKey("sealport1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73eq4fxhrr")
	fmt.Println(key.Fingerprint(), err)
	// Output:
	// keys: malformed key: not sealport1… or mistyped
	// ec1d-608b-3484-ad89-8144-1bc3 <nil>
}

// A client that was told the host's key, and the one that the host will have next.
func ExamplePin() {
	current, next, other := keys.Generate().Public(), keys.Generate().Public(), keys.Generate().Public()
	trust := keys.Pin(current, next)
	fmt.Println(trust.Verify(context.Background(), "com.example.greeter", next))
	fmt.Println(trust.Verify(context.Background(), "com.example.greeter", other) != nil)
	// Output:
	// <nil>
	// true
}

// A host that knows its clients, one of which has to go.
func ExampleAllow() {
	alice := keys.Generate().Public()
	trust := keys.Allow(alice)
	cancel := trust.OnRevoke("com.example.greeter", alice, func() { fmt.Println("Alice's connection ends") })
	defer cancel()
	trust.Remove(alice)
	// Output:
	// Alice's connection ends
}
