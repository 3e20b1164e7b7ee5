package keys_test

import (
	"context"
	"errors"
	"fmt"
	"log"

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

// A key that is stored in another form, such as a hardware token's or a vault's.
func ExampleNewPrivateKey() {
	raw := []byte("32 random bytes from the vault..")
	key, err := keys.NewPrivateKey(raw)
	if err != nil {
		log.Fatal(err)
	}
	clear(raw)
	fmt.Println(key.Public().Fingerprint())
	// Output:
	// 0d24-92b1-0f34-6080-06a9-073f
}

func ExampleParsePrivateKey() {
	stored := keys.Generate()
	key, err := keys.ParsePrivateKey(stored.RevealSecretText())
	fmt.Println(key.Equal(stored), err)

	_, err = keys.ParsePrivateKey(stored.Public().String())
	fmt.Println(errors.Is(err, keys.ErrNotSecretKey))
	// Output:
	// true <nil>
	// true
}

func ExampleNewPublicKey() {
	raw := keys.Generate().Public().Bytes()
	key, err := keys.NewPublicKey(raw)
	fmt.Println(key.IsZero(), err)

	_, err = keys.NewPublicKey(make([]byte, keys.PublicKeySize))
	fmt.Println(err)
	// Output:
	// false <nil>
	// keys: malformed key: point of small order
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

// A secret for both sides of a connection, in addition to their keys.
func ExampleGeneratePreshared() {
	psk := keys.GeneratePreshared()
	text := psk.RevealSecretText() // give it to the other side, and to nobody else

	same, err := keys.ParsePreshared(text)
	fmt.Println(same.Equal(psk), err)
	// Output:
	// true <nil>
}

func ExampleNewPreshared() {
	_, err := keys.NewPreshared([]byte("a password"))
	fmt.Println(err)
	// Output:
	// keys: malformed key: a pre-shared key is 32 random bytes
}

func ExampleParsePreshared() {
	_, err := keys.ParsePreshared("SEALPORT-PRESHARED-KEY-1MISTYPED")
	fmt.Println(err)
	// Output:
	// keys: malformed key: not SEALPORT-PRESHARED-KEY-1… or mistyped
}

// A private key as text that is useless without the passphrase.
func ExampleLock() {
	key := keys.Generate()
	text, err := keys.Lock(key, []byte("correct horse battery staple"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(keys.IsLocked(text))

	same, err := keys.Unlock(text, []byte("correct horse battery staple"))
	fmt.Println(same.Equal(key), err)
	_, err = keys.Unlock(text, []byte("incorrect horse"))
	fmt.Println(err)
	// Output:
	// true
	// true <nil>
	// keys: wrong passphrase
}

// A client that knows the host's key, and the one that the host will have next.
func ExamplePin() {
	current, next, other := keys.Generate().Public(), keys.Generate().Public(), keys.Generate().Public()
	trust := keys.Pin(current, next)
	fmt.Println(trust.Verify(context.Background(), "com.example.greeter", next))
	err := trust.Verify(context.Background(), "com.example.greeter", other)
	fmt.Println(errors.Is(err, keys.ErrUntrusted))
	// Output:
	// <nil>
	// true
}

// A host that knows its clients and removes one of them.
func ExampleAllow() {
	alice := keys.Generate().Public()
	trust := keys.Allow(alice)
	cancel := trust.OnRevoke("com.example.greeter", alice, func() { fmt.Println("Alice's connection ends") })
	defer cancel()
	trust.Remove(alice)
	// Output:
	// Alice's connection ends
}
