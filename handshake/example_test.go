package handshake_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/keys"
)

// Both sides of a handshake. Package secure does this over a connection.
func Example() {
	hostKey, clientKey := keys.Generate(), keys.Generate()
	pinned := func(want keys.PublicKey) func(keys.PublicKey, []byte) error {
		return func(got keys.PublicKey, _ []byte) error {
			if !got.Equal(want) {
				return errors.New("another key than expected")
			}
			return nil
		}
	}
	config := handshake.Config{
		Endpoint:          "com.example.greeter",
		InitiatorIdentity: []byte("the client as the kernel knows it"),
		ResponderIdentity: []byte("the host as the kernel knows it"),
	}
	asClient, asHost := config, config
	asClient.Role, asClient.Key, asClient.VerifyPeer = handshake.Initiator, clientKey, pinned(hostKey.Public())
	asHost.Role, asHost.Key, asHost.VerifyPeer = handshake.Responder, hostKey, pinned(clientKey.Public())

	client, err := handshake.New(asClient)
	if err != nil {
		log.Fatal(err)
	}
	host, err := handshake.New(asHost)
	if err != nil {
		log.Fatal(err)
	}
	for from, to := client, host; !to.Done(); from, to = to, from {
		message, err := from.WriteMessage(nil, nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := to.ReadMessage(message); err != nil {
			log.Fatal(err)
		}
	}
	c, err := client.Result()
	if err != nil {
		log.Fatal(err)
	}
	h, err := host.Result()
	if err != nil {
		log.Fatal(err)
	}
	peer, _ := h.PeerStatic()
	fmt.Println(h.Offer())
	fmt.Println(c.Hash() == h.Hash(), peer.Equal(clientKey.Public()))
	// Output:
	// Noise_XXpsk3_25519_ChaChaPoly_BLAKE2b with ML-KEM-768
	// true true
}

// A side without keys, which knows a secret. New refuses settings that contradict
// each other.
func ExampleNew() {
	config := handshake.Config{
		Role:              handshake.Initiator,
		Pattern:           handshake.NN,
		Endpoint:          "com.example.greeter",
		InitiatorIdentity: []byte("the client as the kernel knows it"),
		ResponderIdentity: []byte("the host as the kernel knows it"),
	}
	_, err := handshake.New(config)
	fmt.Println(errors.Is(err, handshake.ErrConfig), err)

	config.PSK = keys.GeneratePreshared()
	client, err := handshake.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Writes(), client)
	// Output:
	// true handshake: invalid configuration: PSK is missing: NN needs one
	// true handshake initiator of Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b at message 1
}

// A responder that looks at what the initiator asks for before it chooses its Config.
func ExampleReadOffer() {
	hostKey := keys.Generate()
	client, err := handshake.New(handshake.Config{
		Role:              handshake.Initiator,
		Pattern:           handshake.NK,
		PeerStatic:        hostKey.Public(),
		VerifyPeer:        func(keys.PublicKey, []byte) error { return nil }, // PeerStatic is the only key
		Endpoint:          "com.example.greeter",
		InitiatorIdentity: []byte("the client as the kernel knows it"),
		ResponderIdentity: []byte("the host as the kernel knows it"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	first, err := client.WriteMessage(nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	offer, err := handshake.ReadOffer(first)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(offer.Pattern, offer.Hybrid, offer.PSK)
	// Output:
	// NK true false
}
