package mach_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/mach"
)

// received appends an audit trailer to a message, as Receive leaves it.
func received(msg []byte, token mach.AuditToken) []byte {
	out := append(slices.Clone(msg), make([]byte, mach.AuditTrailerSize)...)
	mach.Trailer{Seqno: 7, Security: [2]uint32{1, 2}, Token: token}.Put(out[len(msg):])
	return out
}

// The bytes were laid out by hand from xnu's mach/message.h: a header, one of
// each descriptor, a body of 3 bytes and its padding.
const complexMessage = "" +
	"13151180" + "50000000" + "03010000" + "07030000" + "00000000" + "41424344" + // header
	"03000000" + // descriptors
	"0b050000" + "00000000" + "00001100" + // send right
	"0000000001000000" + "01010001" + "00400000" + // 16 KiB out of line, deallocated
	"0080000001000000" + "00011102" + "02000000" + // two send rights out of line
	"61626300" + "00000000" // body

func TestComposeWritesTheKernelsLayout(t *testing.T) {
	msg := mach.Compose(make([]byte, 0, 256),
		mach.Header{RemoteBits: mach.CopySend, LocalBits: mach.MakeSendOnce, VoucherBits: mach.MoveSend, Remote: 0x103, Local: 0x307, ID: 0x44434241},
		[]mach.Descriptor{
			{Type: mach.PortRight, Name: 0x50b, Disposition: mach.MoveSend},
			{Type: mach.OutOfLine, Address: 1 << 32, Size: 16 << 10, Copy: mach.VirtualCopy, Deallocate: true},
			{Type: mach.OutOfLinePorts, Address: 1<<32 + 0x8000, Size: 2, Copy: mach.VirtualCopy, Disposition: mach.MoveSend},
		}, []byte("abc"), nil, []byte{0, 0})
	want, err := hex.DecodeString(complexMessage)
	require.NoError(t, err)
	assert.Equal(t, hex.EncodeToString(want), hex.EncodeToString(msg))
}

func TestParseMessage(t *testing.T) {
	raw, err := hex.DecodeString(complexMessage)
	require.NoError(t, err)
	token := mach.AuditToken{1, 2, 3, 4, 5, 6, 7, 8}
	m, err := mach.ParseMessage(received(raw, token))
	require.NoError(t, err)
	assert.Equal(t, mach.Header{
		RemoteBits: mach.CopySend, LocalBits: mach.MakeSendOnce, VoucherBits: mach.MoveSend, Complex: true,
		Size: uint32(len(raw)), Remote: 0x103, Local: 0x307, ID: 0x44434241,
	}, m.Header)
	assert.Equal(t, mach.Trailer{Seqno: 7, Security: [2]uint32{1, 2}, Token: token, Attested: true}, m.Trailer)
	assert.Equal(t, []byte("abc\x00\x00\x00\x00\x00"), m.Body)
	assert.Equal(t, []mach.Descriptor{
		{Type: mach.PortRight, Name: 0x50b, Disposition: mach.MoveSend},
		{Type: mach.OutOfLine, Address: 1 << 32, Size: 16 << 10, Copy: mach.VirtualCopy, Deallocate: true},
		{Type: mach.OutOfLinePorts, Address: 1<<32 + 0x8000, Size: 2, Copy: mach.VirtualCopy, Disposition: mach.MoveSend},
	}, slices.Collect(m.Descriptors()))
}

func TestParseMessageRefuses(t *testing.T) {
	good := received(mach.Compose(make([]byte, 0, 64), mach.Header{ID: 1}, []mach.Descriptor{{Type: mach.PortRight}}, []byte("body")), mach.AuditToken{})
	_, err := mach.ParseMessage(good)
	require.NoError(t, err)
	put := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return b }
	}
	for name, change := range map[string]func([]byte) []byte{
		"nothing":              func([]byte) []byte { return nil },
		"half a header":        func(b []byte) []byte { return b[:23] },
		"size below a header":  put(4, 23),
		"size beyond buffer":   put(4, uint32(len(good))+1),
		"size near 2^32":       put(4, 0xfffffffd),
		"no trailer":           func(b []byte) []byte { return b[:44] },
		"trailer cut off":      func(b []byte) []byte { return b[:len(b)-1] },
		"trailer of size 7":    put(48, 7),
		"trailer of format 1":  put(44, 1),
		"no descriptor count":  put(4, 24),
		"too many descriptors": put(24, 2),
		"2^32-1 descriptors":   put(24, 0xffffffff),
		"descriptor cut off":   func(b []byte) []byte { b[39] = byte(mach.OutOfLine); return put(4, 40)(b) },
		"descriptor of type 5": func(b []byte) []byte { b[39] = 5; return b },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mach.ParseMessage(change(slices.Clone(good)))
			assert.ErrorIs(t, err, mach.ErrMalformed)
		})
	}
}

func TestParseTrailerThatEndsBeforeTheToken(t *testing.T) {
	b := make([]byte, 60)
	binary.LittleEndian.PutUint32(b[4:], 20)
	trailer, err := mach.ParseTrailer(b)
	require.NoError(t, err)
	assert.False(t, trailer.Attested, "an absent token is not the kernel's")
}

func TestParseNotification(t *testing.T) {
	notification := func(id int32, word uint32, token mach.AuditToken, extra ...mach.Descriptor) mach.Message {
		msg := mach.Compose(make([]byte, 0, 128), mach.Header{ID: id}, extra, mach.NotificationBody(id, word))
		m, err := mach.ParseMessage(received(msg, token))
		require.NoError(t, err)
		return m
	}
	kernel := mach.AuditToken{}
	for id, want := range map[int32]mach.Notification{
		mach.NotifyDeadName:     {ID: mach.NotifyDeadName, Name: 0x103},
		mach.NotifySendPossible: {ID: mach.NotifySendPossible, Name: 0x103},
		mach.NotifyPortDeleted:  {ID: mach.NotifyPortDeleted, Name: 0x103},
		mach.NotifyNoSenders:    {ID: mach.NotifyNoSenders, Count: 0x103},
		mach.NotifySendOnce:     {ID: mach.NotifySendOnce},
	} {
		t.Run(want.String(), func(t *testing.T) {
			m := notification(id, 0x103, kernel)
			got, ok := mach.ParseNotification(&m)
			assert.True(t, ok)
			assert.Equal(t, want, got)

			for word := range 8 {
				forged := kernel
				forged[word] = 1
				m := notification(id, 0x103, forged)
				_, ok := mach.ParseNotification(&m)
				assert.False(t, ok, "token word %d set", word)
			}
			m = notification(id, 0x103, kernel, mach.Descriptor{Type: mach.PortRight})
			_, ok = mach.ParseNotification(&m)
			assert.False(t, ok, "with a descriptor")
			m = notification(id, 0x103, kernel)
			m.Trailer.Attested = false
			_, ok = mach.ParseNotification(&m)
			assert.False(t, ok, "without a token")
			m = notification(id, 0x103, kernel)
			m.Body = append(m.Body, 0, 0, 0, 0)
			_, ok = mach.ParseNotification(&m)
			assert.False(t, ok, "too long")
		})
	}
	m := notification(4711, 1, kernel)
	_, ok := mach.ParseNotification(&m)
	assert.False(t, ok)
}

func TestSameProcessAndIDs(t *testing.T) {
	a := mach.AuditToken{1, 2, 3, 4, 5, 6, 7, 8}
	for word := range a {
		b := a
		b[word]++
		assert.Equal(t, word != 5 && word != 7, a.SameProcess(b), "word %d", word)
		assert.Equal(t, word < 1 || word > 4, a.SameIDs(b), "word %d", word)
	}
}

func TestErrnoNames(t *testing.T) {
	for code, want := range map[mach.Errno]string{
		mach.KernInvalidName:        "mach: KERN_INVALID_NAME (15)",
		mach.BootstrapServiceActive: "mach: BOOTSTRAP_SERVICE_ACTIVE (1103)",
		mach.SendTimedOut:           "mach: MACH_SEND_TIMED_OUT (0x10000004)",
		mach.RcvTimedOut:            "mach: MACH_RCV_TIMED_OUT (0x10004003)",
		0x1000600c:                  "mach: MACH_RCV_BODY_ERROR (0x1000600c)", // IPC_SPACE
		0xdead:                      "mach: error 0xdead",
	} {
		assert.Equal(t, want, code.Error())
	}
	assert.ErrorIs(t, mach.Errno(0x1000600c), mach.RcvBodyError)
	assert.NotErrorIs(t, mach.RcvBodyError, mach.Errno(0x1000600c))
	assert.NotErrorIs(t, mach.KernAborted, mach.KernInvalidName)
	assert.True(t, mach.Errno(mach.SendNoBuffer).Transient())
	assert.False(t, mach.Errno(mach.KernInvalidName).Transient())
}

func TestReleaseRepeatsOnlyWhatHadNoEffect(t *testing.T) {
	for err, want := range map[error]int{
		mach.KernResourceShortage: 2, mach.KernAborted: 2, mach.KernInvalidName: 1, errors.New("other"): 1, nil: 1,
	} {
		calls := 0
		got := mach.Release(func() error { calls++; return err })
		assert.Equal(t, want, calls, "%v", err)
		assert.Equal(t, err, got)
	}
}

func FuzzParseMessage(f *testing.F) {
	raw, err := hex.DecodeString(complexMessage)
	require.NoError(f, err)
	f.Add(received(raw, mach.AuditToken{5: 1}))
	f.Add(received(mach.Compose(make([]byte, 0, 64), mach.Header{ID: mach.NotifyDeadName}, nil, mach.NotificationBody(mach.NotifyDeadName, 3)), mach.AuditToken{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := mach.ParseMessage(b)
		if err != nil {
			require.ErrorIs(t, err, mach.ErrMalformed)
			return
		}
		if n, ok := mach.ParseNotification(&m); ok {
			require.True(t, m.Trailer.Token.IsKernel())
			require.True(t, mach.IsNotificationID(n.ID))
		}
		descriptors := slices.Collect(m.Descriptors())
		require.Len(t, descriptors, m.Count)
		// What was parsed composes to a message that parses to the same.
		again := mach.Compose(make([]byte, 0, len(b)+mach.MaxTrailerSize), m.Header, descriptors, m.Body)
		m2, err := mach.ParseMessage(received(again, m.Trailer.Token))
		require.NoError(t, err)
		require.Equal(t, descriptors, slices.Collect(m2.Descriptors()))
		require.Equal(t, m.Body, m2.Body[:len(m.Body)])
		m2.Size = m.Size
		require.Equal(t, m.Header, m2.Header)
	})
}
