package secure_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/fips/fipstest"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// A program with GODEBUG=fips140=only is told by every constructor, in every pattern,
// and not by a panic when the first client comes.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Child(fipstest.Only) {
		fipstest.Run(t, fipstest.Only, "TestFIPSOnly")
		return
	}
	handle := func(context.Context, transport.Message[string]) {}
	for _, pattern := range []handshake.Pattern{handshake.XX, handshake.IK, handshake.NK, handshake.NN} {
		w := newWorld(t)
		cc, hc := configsOf(pattern)
		w.in(cc)
		w.in(hc)
		for name, make := range map[string]func() error{
			"NewSecureHost": func() error {
				_, err := secure.NewSecureHost(w.endpoint, handle, hc)
				return err
			},
			"NewSecureHostWithService": func() error {
				_, err := secure.NewSecureHostWithService(w.endpoint, transport.Service[string]{Handle: handle}, hc)
				return err
			},
			"NewSecureClient": func() error {
				_, err := secure.NewSecureClient[string](hung(t), w.endpoint, cc)
				return err
			},
			"NewSecureClientWithCodec": func() error {
				_, err := secure.NewSecureClientWithCodec[string](hung(t), w.endpoint, nil, cc)
				return err
			},
			"Listen": func() error {
				_, err := secure.Listen(w.endpoint, hc)
				return err
			},
			"Dial": func() error {
				_, err := secure.Dial(hung(t), w.endpoint, cc)
				return err
			},
		} {
			err := make()
			assert.ErrorIs(t, err, errors.ErrUnsupported, "%v %s", pattern, name)
			assert.NotErrorIs(t, err, transport.ErrConfig, "%v %s: the Config is not to blame", pattern, name)
		}
		_, err := transport.Dial(hung(t), w.endpoint, &transport.Config{Dir: w.dir})
		require.ErrorIs(t, err, transport.ErrNoHost, "nothing is served")
	}
}

// With GODEBUG=fips140=on everything works.
func TestFIPSOn(t *testing.T) {
	if !fipstest.Child(fipstest.On) {
		fipstest.Run(t, fipstest.On, "TestFIPSOn", "TestEveryPatternConnects", "TestRehandshake")
	}
}
