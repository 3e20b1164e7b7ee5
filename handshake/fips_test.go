package handshake_test

import (
	"crypto/fips140"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/fips/fipstest"
)

// A program with GODEBUG=fips140=only is told by New, and by each step of a handshake that
// it began by fips140.WithoutEnforcement. Nothing panics.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Child(fipstest.Only) {
		fipstest.Run(t, fipstest.Only, "TestFIPSOnly")
		return
	}
	nn := variant{"NN_psk", handshake.NN, false, true}
	client, host := nn.configs()
	for _, c := range []handshake.Config{client, host} {
		_, err := handshake.New(c)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, err, handshake.ErrHandshake)
		assert.NotErrorIs(t, err, handshake.ErrConfig, "the Config is not to blame")
	}
	var initiator, responder *handshake.State
	var first []byte
	fips140.WithoutEnforcement(func() {
		initiator, responder = nn.states(t)
		var err error
		first, err = initiator.WriteMessage(nil, nil)
		require.NoError(t, err)
	})
	_, err := responder.ReadMessage(first)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	fips140.WithoutEnforcement(func() { initiator, _ = nn.states(t) })
	_, err = initiator.WriteMessage(nil, nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// With GODEBUG=fips140=on everything works.
func TestFIPSOn(t *testing.T) {
	if !fipstest.Child(fipstest.On) {
		fipstest.Run(t, fipstest.On, "TestFIPSOn", "TestBothSidesAgree", "TestNoiseVectors")
	}
}
