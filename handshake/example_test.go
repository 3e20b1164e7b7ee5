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
