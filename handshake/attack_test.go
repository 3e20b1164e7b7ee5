package handshake_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
)

// requireRefused checks what must hold after an attack on a message: the first side
// that can notice it fails with a final error, so the two honest sides are not both
// done. The sender of the last message cannot notice, so one side may be done.
func requireRefused(t testing.TB, client, host *handshake.State, o outcome, at string) {
	t.Helper()
	switch {
	case o.clientErr != nil:
		requireFailed(t, client, o.clientErr)
	case o.hostErr != nil:
		requireFailed(t, host, o.hostErr)
	default:
		require.Fail(t, "attack was not noticed", at)
	}
}

// sampleStride is the step between changed bytes where a sample must do.
const sampleStride = 37

// TestEveryByteFlipIsRefused changes one bit in every byte of every message, one at
// a time. In the hybrids with a PSK, which have the same bytes at the same places
// as those without, it changes a sample.
func TestEveryByteFlipIsRefused(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			client, host := v.states(t)
			sizes := run(client, host, nil).transcript
			stride := flipStride
			if v.psk && !v.classical && v.pattern != handshake.NN {
				stride = sampleStride
			}
			flips, want := 0, 0
			for i, message := range sizes {
				want += (len(message) + stride - 1) / stride
				for at := 0; at < len(message); at += stride {
					mask := byte(1) << (at % 8)
					client, host := v.states(t)
					o := run(client, host, func(j int, m []byte) []byte {
						if j == i {
							m[at] ^= mask
						}
						return m
					})
					requireRefused(t, client, host, o, fmt.Sprintf("message %d byte %d", i+1, at))
					flips++
				}
			}
			require.Equal(t, want, flips)
		})
	}
}

// TestTruncationAndExtensionAreRefused cuts every message at every length around
// its parts and adds to its end, within the bounds of a payload and beyond.
func TestTruncationAndExtensionAreRefused(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			client, host := v.states(t)
			for i, message := range run(client, host, nil).transcript {
				lengths := []int{0, 1, 7, 8, 9, 31, 32, 33, 40, 48, 80, len(message) / 2, len(message) - 17, len(message) - 16, len(message) - 1,
					len(message) + 1, len(message) + 16, len(message) + handshake.MaxPayload, len(message) + handshake.MaxPayload + 1, handshake.MaxMessageSize, 65536}
				for _, n := range lengths {
					if n < 0 || n == len(message) {
						continue
					}
					client, host := v.states(t)
					o := run(client, host, func(j int, m []byte) []byte {
						if j != i {
							return m
						}
						if n < len(m) {
							return m[:n]
						}
						return append(m, make([]byte, n-len(m))...)
					})
					requireRefused(t, client, host, o, fmt.Sprintf("message %d at %d bytes", i+1, n))
					room := handshake.MaxPayload
					if v.pattern == handshake.XX && i == 0 {
						room = 0
					}
					if n < len(message) || n > len(message)+room {
						require.ErrorIs(t, errorOf(o), handshake.ErrMessageSize)
					} else {
						require.ErrorIs(t, errorOf(o), handshake.ErrAuthentication)
					}
				}
			}
		})
	}
}

// TestReorderedAndReflectedMessagesAreRefused gives every reader, at every turn,
// every other message of the same handshake: of either direction, in each of which
// it may be a reflection, from the past or from the future. Entropy is fixed, so
// that messages of the future are the very ones that will come.
func TestReorderedAndReflectedMessagesAreRefused(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			client, host := v.fixedStates(t)
			honest := run(client, host, nil).transcript
			requireAgreed(t, client, host)
			for i := range honest {
				for instead := range honest {
					if instead == i {
						continue
					}
					client, host := v.fixedStates(t)
					o := run(client, host, func(j int, m []byte) []byte {
						if j == i {
							return honest[instead]
						}
						require.Equal(t, honest[j], m, "entropy is fixed")
						return m
					})
					requireRefused(t, client, host, o, fmt.Sprintf("message %d for %d", instead+1, i+1))
				}
			}
		})
	}
}

// TestReplayIsRefused puts each message of an earlier handshake between the same
// two, and each run of messages from there on, into a later one.
func TestReplayIsRefused(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			client, host := v.states(t)
			earlier := run(client, host, nil).transcript
			for i := range earlier {
				client, host := v.states(t)
				o := run(client, host, func(j int, m []byte) []byte {
					if j == i {
						return earlier[j]
					}
					return m
				})
				requireRefused(t, client, host, o, fmt.Sprintf("message %d", i+1))

				client, host = v.states(t)
				o = run(client, host, func(j int, m []byte) []byte {
					if j >= i {
						return earlier[j]
					}
					return m
				})
				requireRefused(t, client, host, o, fmt.Sprintf("from message %d", i+1))
			}
		})
	}
}

// TestReplayWithoutTheClient plays a whole client of an earlier handshake to the
// host, from the same process and from another. XX refuses it; the patterns of two
// messages refuse it from another process, and from the same one if the host has
// something fresh in the binding. Without that the host ends with keys that the
// attacker does not have. That limit is Noise's (§7.7) and documented: such hosts
// wait for the first record.
func TestReplayWithoutTheClient(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			client, host := v.states(t)
			earlier := run(client, host, nil).transcript
			oldClient, _ := requireAgreed(t, client, host)

			_, config := v.configs()
			config.InitiatorIdentity = []byte("the attacker's process")
			host, err := handshake.New(config)
			require.NoError(t, err)
			require.Error(t, playClient(host, earlier), "from another process")
			require.False(t, host.Done())

			_, config = v.configs()
			config.Binding = []byte("a nonce of the host's for this connection")
			host, err = handshake.New(config)
			require.NoError(t, err)
			require.ErrorIs(t, playClient(host, earlier), handshake.ErrAuthentication, "from the same process, to a fresh binding")
			require.False(t, host.Done())

			_, config = v.configs()
			host, err = handshake.New(config)
			require.NoError(t, err)
			err = playClient(host, earlier)
			if v.pattern == handshake.XX {
				require.ErrorIs(t, err, handshake.ErrAuthentication)
				requireFailed(t, host, err)
				return
			}
			require.NoError(t, err)
			result, err := host.Result()
			require.NoError(t, err)
			require.NotEqual(t, oldClient.Hash(), result.Hash())
		})
	}
}

// playClient sends a host the client's messages of a transcript.
func playClient(host *handshake.State, transcript [][]byte) error {
	for i := 0; i < len(transcript); i += 2 {
		if _, err := host.ReadMessage(transcript[i]); err != nil {
			return err
		}
		if host.Writes() {
			if _, err := host.WriteMessage(nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
