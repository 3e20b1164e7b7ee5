package rendezvous_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/wire"
)

// answerWithRing is a host that answers its next client with a ring of a size, and
// returns the size that the client has asked for.
func answerWithRing(listening, size int) (asked int, err error) {
	sock, _, err := unix.Accept4(listening, unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(sock)
	first := make([]byte, wire.MaxSetupSize)
	if _, err := unix.Read(sock, first); err != nil {
		return 0, err
	}
	memory, fd, err := ring.Create(size)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	defer memory.Unmap()
	answer := wire.Setup{Carrier: wire.CarrierRing, Ring: uint32(size), Hello: []byte("host")}
	err = unix.Sendmsg(sock, answer.Append(nil), unix.UnixRights(fd), nil, 0)
	return int(binary.LittleEndian.Uint32(first[8:])), err
}

// TestRingIsNotLargerThanAskedFor: the client's setting bounds its memory, whatever the
// host answers.
func TestRingIsNotLargerThanAskedFor(t *testing.T) {
	const KiB, MiB = 1 << 10, 1 << 20
	for _, row := range []struct {
		set, asked, answered int
		refused              bool
	}{
		{16 * KiB, 16 * KiB, 16 * KiB, false},
		{16 * KiB, 16 * KiB, 32 * KiB, true},
		{16 * KiB, 16 * KiB, 64 * MiB, true},
		{1 * MiB, 1 * MiB, 64 * KiB, false},
		{1 * MiB, 1 * MiB, 1 * MiB, false},
		{1 * MiB, 1 * MiB, 2 * MiB, true},
		{0, 256 * KiB, 16 * KiB, false},
		{0, 256 * KiB, 256 * KiB, false},
		{0, 256 * KiB, 512 * KiB, true},
		{64 * MiB, 64 * MiB, 64 * MiB, false},
	} {
		t.Run(fmt.Sprintf("%d set, %d answered", row.set, row.answered), func(t *testing.T) {
			o := inDir(t)
			o.BufferSize = row.set
			listening := rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
			asked, hosts := 0, make(chan error, 1)
			go func() {
				var err error
				asked, err = answerWithRing(listening, row.answered)
				hosts <- err
			}()
			out, err := carrier.Dial(hung(t), endpoint, []byte("client"), o)
			require.NoError(t, <-hosts)
			assert.Equal(t, row.asked, asked)
			if row.refused {
				require.ErrorIs(t, err, wire.ErrSetup)
				require.ErrorIs(t, err, link.ErrProtocol)
				return
			}
			require.NoError(t, err)
			l, err := out.Link()
			require.NoError(t, err)
			require.NoError(t, l.Close())
		})
	}
}

// TestRingSizeIsTheSmaller: of both sides' settings, where 0 is the default.
func TestRingSizeIsTheSmaller(t *testing.T) {
	const KiB, MiB = 1 << 10, 1 << 20
	for _, row := range []struct{ host, client, want int }{
		{0, 0, 256 * KiB},
		{1 * MiB, 0, 256 * KiB},
		{0, 1 * MiB, 256 * KiB},
		{64 * KiB, 0, 64 * KiB},
		{0, 64 * KiB, 64 * KiB},
		{2 * MiB, 1 * MiB, 1 * MiB},
		{1 * MiB, 2 * MiB, 1 * MiB},
	} {
		t.Run(fmt.Sprintf("host %d, client %d", row.host, row.client), func(t *testing.T) {
			host, client := inDir(t), rendezvous.Options{BufferSize: row.client}
			host.BufferSize, client.Dir = row.host, host.Dir
			listener := listen(t, endpoint, host)
			ctx := hung(t)
			accepted := make(chan link.Link, 1)
			go func() {
				defer close(accepted)
				in, err := listener.Accept()
				if !assert.NoError(t, err) {
					return
				}
				_, err = in.Hello(ctx)
				assert.NoError(t, err)
				l, err := in.Accept(ctx, []byte("host"))
				assert.NoError(t, err)
				accepted <- l
			}()
			out, err := carrier.Dial(ctx, endpoint, []byte("client"), client)
			require.NoError(t, err)
			l, err := out.Link()
			require.NoError(t, err)
			far := <-accepted
			require.NotNil(t, far)
			over, cancel := context.WithCancel(t.Context())
			cancel()
			const framed = 4 * KiB // bytes of the ring for a frame, with its length
			sent := 0
			for l.WriteFrame(over, nil, make([]byte, framed-4)) == nil {
				sent++
			}
			assert.Equal(t, row.want/framed-1, sent, "frames until the ring is full: the last bytes stay free")
			require.NoError(t, l.Close())
			require.NoError(t, far.Close())
		})
	}
}
