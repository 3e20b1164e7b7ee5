package remember_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/remember"
)

func TestOnlySuccessIsKept(t *testing.T) {
	failure := errors.New("for now")
	calls := 0
	f := remember.Success(func() (int, error) {
		if calls++; calls < 3 {
			return 0, failure
		}
		return calls, nil
	})
	for range 2 {
		_, err := f()
		require.ErrorIs(t, err, failure)
	}
	for range 2 {
		n, err := f()
		require.NoError(t, err)
		require.Equal(t, 3, n)
	}
	require.Equal(t, 3, calls)
}
