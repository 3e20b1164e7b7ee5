package pidfd_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer/internal/pidfd"
)

const status = "Name:\tx\\nUid:\t0\t0\t0\t0\nState:\tS\nTgid:\t4711\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n"

func TestParseStatus(t *testing.T) {
	s, err := pidfd.ParseStatus([]byte(status))
	require.NoError(t, err)
	assert.Equal(t, pidfd.Status{
		IDs: pidfd.IDs{RUID: 1, EUID: 2, SUID: 3, RGID: 5, EGID: 6, SGID: 7}, Groups: []uint32{9, 10},
	}, s)
	s, err = pidfd.ParseStatus([]byte(strings.Replace(status, "9 10 ", "", 1)))
	require.NoError(t, err)
	assert.Empty(t, s.Groups)
	for _, change := range []struct{ old, new string }{
		{"Uid:\t1\t2\t3\t4\n", ""}, {"\t3\t4\n", "\n"}, {"\t1\t2", "\t1\t-2"}, {"\t1\t2", "\t1\t4294967296"},
		{"Gid:\t5", "Gid:\tx"}, {"Groups:", "Grups:"}, {"9 10", "9 x"},
	} {
		broken := strings.Replace(status, change.old, change.new, 1)
		require.NotEqual(t, status, broken)
		_, err := pidfd.ParseStatus([]byte(broken))
		assert.ErrorIs(t, err, pidfd.ErrMalformed, "%q", change.new)
	}
}

func TestIsOwnProc(t *testing.T) {
	for text, want := range map[string]bool{
		"Name:\tx\nPid:\t4\nNSpid:\t4\n": true,
		"Name:\tx\nNSpid:\t4711\t1\n":    false,
		"NSpid:\t4 4 4\n":                false,
		"NSpid:\t\n":                     false,
		"NSpid:\tx\n":                    false,
		"Name:\tNSpid:\t4\n":             false,
		"":                               false,
	} {
		assert.Equal(t, want, pidfd.IsOwnProc([]byte(text)), "%q", text)
	}
}

func TestParseFdinfo(t *testing.T) {
	for text, want := range map[string]int{
		"pos:\t0\nflags:\t02000002\nPid:\t4711\nNSpid:\t4711\n": 4711,
		"Pid:\t0\n":  0,
		"Pid:\t-1\n": -1,
	} {
		n, err := pidfd.ParseFdinfo([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	_, err := pidfd.ParseFdinfo([]byte("pos:\t0\nflags:\t02\n"))
	require.ErrorIs(t, err, pidfd.ErrNotPidfd)
	for _, text := range []string{"Pid:\t\n", "Pid:\t-2\n", "Pid:\t1 2\n", "Pid:\t2147483648\n"} {
		_, err := pidfd.ParseFdinfo([]byte(text))
		assert.ErrorIs(t, err, pidfd.ErrMalformed, "%q", text)
	}
}

func TestParseCgroup(t *testing.T) {
	for text, want := range map[string]string{
		"0::/a.service\n": "/a.service",
		"4:memory:/m\n1:name=systemd:/s.service\n0::/u\n": "/s.service",
		"0::/u\n1:name=systemd:/s.service\n":              "/s.service",
		"0::/a:b.service\n":                               "/a:b.service",
		"12:cpu,cpuacct:/x\n0::/system.slice/x.service":   "/system.slice/x.service",
	} {
		path, err := pidfd.ParseCgroup([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, want, path)
	}
	for _, text := range []string{"", "\n", "4:memory:/m\n", "0::relative\n", "0:/a\n", "x\n0::/a\n", "5::/a\n", "0:cpu:/a\n"} {
		_, err := pidfd.ParseCgroup([]byte(text))
		assert.ErrorIs(t, err, pidfd.ErrMalformed, "%q", text)
	}
}

func TestParseBootID(t *testing.T) {
	id, err := pidfd.ParseBootID([]byte("00112233-4455-6677-8899-aabbccddeeff\n"))
	require.NoError(t, err)
	assert.Equal(t, [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, id)
	for _, text := range []string{"", "00112233-4455-6677-8899-aabbccddeef\n", "00112233-4455-6677-8899-aabbccddeegg\n", "00112233445566778899aabbccddeeff\n", strings.Repeat("0", 36)} {
		_, err := pidfd.ParseBootID([]byte(text))
		assert.ErrorIs(t, err, pidfd.ErrMalformed, "%q", text)
	}
}

// FuzzParseProc feeds every parser of procfs: none may panic, each error has its class.
func FuzzParseProc(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Pid:\t4711\n"))
	f.Add([]byte("1:name=systemd:/s.service\n0::/u\n"))
	f.Add([]byte("00112233-4455-6677-8899-aabbccddeeff\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := pidfd.ParseStatus(b); err != nil {
			require.ErrorIs(t, err, pidfd.ErrMalformed)
		}
		n, err := pidfd.ParseFdinfo(b)
		if err != nil && err != pidfd.ErrNotPidfd {
			require.ErrorIs(t, err, pidfd.ErrMalformed)
		}
		require.GreaterOrEqual(t, n, -1)
		path, err := pidfd.ParseCgroup(b)
		if err != nil {
			require.ErrorIs(t, err, pidfd.ErrMalformed)
		} else {
			require.True(t, strings.HasPrefix(path, "/"))
			require.NotContains(t, path, "\n")
		}
		if _, err := pidfd.ParseBootID(b); err != nil {
			require.ErrorIs(t, err, pidfd.ErrMalformed)
		}
	})
}
