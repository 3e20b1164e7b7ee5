package oskeyring_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zalando/go-keyring"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/keys/oskeyring"
)

// The library's key ring in memory stands for the real one, which needs a desktop.

func TestStore(t *testing.T) {
	keyring.MockInit()
	ctx := t.Context()
	var s oskeyring.Store
	current, next := keys.Generate(), keys.Generate()

	_, err := s.Load(ctx, "a")
	require.ErrorIs(t, err, keys.ErrKeyNotFound)
	require.ErrorIs(t, s.Replace(ctx, "a", next), keys.ErrKeyNotFound)
	require.ErrorIs(t, s.Delete(ctx, "a"), keys.ErrKeyNotFound)
	require.NoError(t, s.Save(ctx, "a", current))
	require.ErrorIs(t, s.Save(ctx, "a", next), keys.ErrKeyExists)
	got, err := s.Load(ctx, "a")
	require.NoError(t, err)
	require.True(t, got.Equal(current))
	require.NoError(t, s.Replace(ctx, "a", next))
	got, err = s.Load(ctx, "a")
	require.NoError(t, err)
	require.True(t, got.Equal(next))
	require.ErrorIs(t, s.Replace(ctx, "a", keys.PrivateKey{}), keys.ErrNoKey)

	_, err = (&oskeyring.Store{Service: "other"}).Load(ctx, "a")
	require.ErrorIs(t, err, keys.ErrKeyNotFound)
	require.NoError(t, s.Delete(ctx, "a"))
	_, err = s.Load(ctx, "a")
	require.ErrorIs(t, err, keys.ErrKeyNotFound)
}

func TestStoreRefuses(t *testing.T) {
	keyring.MockInit()
	var s oskeyring.Store
	_, err := s.Load(t.Context(), "../a")
	require.ErrorIs(t, err, keys.ErrKeyName)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Save(ctx, "a", keys.Generate()), context.Canceled)

	require.NoError(t, keyring.Set(oskeyring.DefaultService, "a", "something else"))
	_, err = s.Load(t.Context(), "a")
	require.ErrorIs(t, err, keys.ErrMalformedKey)

	broken := errors.New("locked")
	keyring.MockInitWithError(broken)
	_, err = s.Load(t.Context(), "a")
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, keys.ErrKeyNotFound)
	require.ErrorIs(t, s.Save(t.Context(), "a", keys.Generate()), broken)
	keyring.MockInitWithError(keyring.ErrUnsupportedPlatform)
	_, err = s.Load(t.Context(), "a")
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
