package oskeyring_test

import (
	"context"
	"fmt"
	"log"

	"github.com/zalando/go-keyring"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/keys/oskeyring"
)

// The same key at every start of a desktop program.
func ExampleStore() {
	keyring.MockInit() // a key ring in memory, for the example
	store := &oskeyring.Store{Service: "com.example.greeter"}
	first, err := keys.LoadOrGenerate(context.Background(), store, "client")
	if err != nil {
		log.Fatal(err)
	}
	second, err := keys.LoadOrGenerate(context.Background(), store, "client")
	fmt.Println(second.Equal(first), err)
	// Output:
	// true <nil>
}
