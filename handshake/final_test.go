package handshake_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
)

// TestCloseKeepsTheError: what has failed says why, also after Close.
func TestCloseKeepsTheError(t *testing.T) {
	for _, v := range variants {
		client, host := v.states(t)
		_, err := host.ReadMessage([]byte("not a message"))
		require.Error(t, err)
		require.NotErrorIs(t, err, handshake.ErrOrder)
		host.Close()
		host.Close()
		requireFailed(t, host, err)
		client.Close()
		_, err = client.WriteMessage(nil, nil)
		require.ErrorIs(t, err, handshake.ErrOrder)
		client.Close()
		requireFailed(t, client, err)
	}
}

// TestUnknownPatternIsRefused: although no other setting is wrong.
func TestUnknownPatternIsRefused(t *testing.T) {
	for _, role := range []handshake.Role{handshake.Initiator, handshake.Responder} {
		_, host := variant{"", handshake.NN, false, true}.configs()
		host.Role, host.Pattern = role, handshake.NN+1
		_, err := handshake.New(host)
		require.ErrorIs(t, err, handshake.ErrConfig)
	}
}
