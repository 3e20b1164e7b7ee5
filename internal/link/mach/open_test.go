package mach_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/mach"
)

func TestOpen(t *testing.T) {
	k, err := mach.Open()
	if runtime.GOOS != "darwin" {
		assert.ErrorIs(t, err, errors.ErrUnsupported)
		assert.Nil(t, k)
		assert.ErrorIs(t, mach.Csops(0, [8]uint32{}, nil), errors.ErrUnsupported)
		assert.ErrorIs(t, mach.SetThreadQoS(mach.QoSDefault, 0), errors.ErrUnsupported)
		return
	}
	require.NoError(t, err)
	again, err := mach.Open()
	require.NoError(t, err)
	assert.Equal(t, k, again)
	token, err := k.Token()
	require.NoError(t, err)
	assert.NotZero(t, token.PID())
}
