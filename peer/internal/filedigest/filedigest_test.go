package filedigest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer/internal/filedigest"
)

// file is an open file in memory that counts how often it is read to the end.
type file struct {
	io.Reader
	key       filedigest.Key
	ends      int
	untracked bool
}

func open(content string, ino uint64, age time.Duration) *file {
	return &file{
		Reader: bytes.NewReader([]byte(content)),
		key:    filedigest.Key{Ino: ino, Size: int64(len(content)), Ctime: time.Now().Add(-age).UnixNano()},
	}
}

func (f *file) Key() (filedigest.Key, error) { return f.key, nil }

func (f *file) Tracked() bool { return !f.untracked }

func (f *file) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		f.ends++
	}
	return n, err
}

const old = time.Hour

func TestDigestIsRememberedByInode(t *testing.T) {
	c := filedigest.New(4, 100, 1)
	first := open("content", 1, old)
	sum, err := c.SHA256(t.Context(), first)
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256([]byte("content")), sum)
	assert.Equal(t, 1, first.ends)

	again := open("unread!", 1, old)
	again.key = first.key
	sum, err = c.SHA256(t.Context(), again)
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256([]byte("content")), sum)
	assert.Zero(t, again.ends)

	for i, change := range []func(*filedigest.Key){
		func(k *filedigest.Key) { k.Dev++ }, func(k *filedigest.Key) { k.Ino++ },
		func(k *filedigest.Key) { k.Mtime++ }, func(k *filedigest.Key) { k.Ctime++ },
	} {
		other := open("another", 1, old)
		other.key = first.key
		change(&other.key)
		sum, err = c.SHA256(t.Context(), other)
		require.NoError(t, err)
		assert.Equal(t, sha256.Sum256([]byte("another")), sum, "change %d", i)
	}
}

// TestFreshFileIsNotRemembered: a change within one tick of the clock does not show.
func TestFreshFileIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the time stands still
		for age, remembered := range map[time.Duration]bool{0: false, time.Second: false, 2 * time.Second: false, 2*time.Second + 1: true} {
			c := filedigest.New(4, 100, 1)
			f := open("content", 1, age)
			_, err := c.SHA256(t.Context(), f)
			require.NoError(t, err)
			assert.Equal(t, remembered, cached(t, c, f), "%v", age)
		}
	})
}

// TestUntrackedFileIsNotRemembered: a write that changes no time does not show either.
func TestUntrackedFileIsNotRemembered(t *testing.T) {
	c := filedigest.New(2, 100, 1)
	for _, content := range []string{"one", "two"} {
		f := open(content, 1, old)
		f.key, f.untracked = filedigest.Key{Ino: 1, Size: 3}, true
		sum, err := c.SHA256(t.Context(), f)
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256([]byte(content)), sum)
	}
}

// cached reports whether c has the digest of f, of another content than f's.
func cached(t *testing.T, c *filedigest.Cache, f *file) bool {
	t.Helper()
	probe := &file{Reader: bytes.NewReader(make([]byte, f.key.Size)), key: f.key, untracked: true}
	_, err := c.SHA256(t.Context(), probe)
	require.NoError(t, err)
	return probe.ends == 0
}

func TestCacheIsBounded(t *testing.T) {
	for entries := range 4 {
		c := filedigest.New(entries, 100, 1)
		var files []*file
		for ino := range uint64(8) {
			f := open("content", ino, old)
			files = append(files, f)
			_, err := c.SHA256(t.Context(), f)
			require.NoError(t, err)
			for age := range files { // 0 is the newest
				assert.Equal(t, age < entries, cached(t, c, files[len(files)-1-age]), "%d entries, %d files, age %d", entries, len(files), age)
			}
		}
	}
}

func TestLargeFileIsNotRead(t *testing.T) {
	c := filedigest.New(2, 3, 1)
	_, err := c.SHA256(t.Context(), open("sml", 1, old))
	require.NoError(t, err)
	f := open("long", 2, old)
	_, err = c.SHA256(t.Context(), f)
	require.ErrorIs(t, err, filedigest.ErrTooLarge)
	left, err := io.ReadAll(f.Reader)
	require.NoError(t, err)
	assert.Len(t, left, 4)
}

// TestKeyFails: at each of the times at which the Cache asks for it.
func TestKeyFails(t *testing.T) {
	broken := errors.New("broken")
	for fails := range 4 {
		f := &failing{file: open("content", 1, old), err: broken, after: fails}
		sum, err := filedigest.New(2, 100, 1).SHA256(t.Context(), f)
		if fails == 3 { // before it waits, before it reads, and afterwards
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, broken)
		assert.Zero(t, sum)
		assert.Equal(t, fails == 2, f.ends > 0, "whether it was read")
	}
}

// failing is a file whose Key fails after so many calls.
type failing struct {
	*file
	err   error
	after int
}

func (f *failing) Key() (filedigest.Key, error) {
	if f.after--; f.after < 0 {
		return filedigest.Key{}, f.err
	}
	return f.key, nil
}

func TestFileThatChangesMeanwhile(t *testing.T) {
	longer, shorter, touched := open("content", 1, old), open("content", 2, old), open("content", 3, old)
	longer.key.Size--
	shorter.key.Size++
	read := keyFunc{touched, func() filedigest.Key {
		k := touched.key
		k.Ctime += int64(touched.ends) // written to by the time it has been read
		return k
	}}
	endless := open("", 4, old)
	endless.Reader = readerFunc(func(p []byte) (int, error) {
		if endless.ends++; endless.ends > 3 {
			return 0, errors.New("read on and on")
		}
		return len(p), nil
	})
	for name, f := range map[string]filedigest.File{"endless": endless, "longer": longer, "shorter": shorter, "touched": read} {
		_, err := filedigest.New(2, 100, 1).SHA256(t.Context(), f)
		require.ErrorIs(t, err, filedigest.ErrModified, name)
	}
}

type keyFunc struct {
	io.Reader
	key func() filedigest.Key
}

func (f keyFunc) Key() (filedigest.Key, error) { return f.key(), nil }

func (f keyFunc) Tracked() bool { return true }

// blocked reads only when it is let.
type blocked struct{ let chan struct{} }

func (b blocked) Read([]byte) (int, error) { <-b.let; return 0, io.EOF }

// TestReadersAreBounded: a call that waits for a slot gives up with its context.
func TestReadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := filedigest.New(2, 100, 1)
		slow := &file{Reader: blocked{make(chan struct{})}, key: filedigest.Key{Ino: 1}}
		done := make(chan error)
		go func() { _, err := c.SHA256(t.Context(), slow); done <- err }()
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error)
		second := open("b", 2, old)
		go func() { _, err := c.SHA256(ctx, second); waiting <- err }()
		synctest.Wait()
		assert.Zero(t, second.ends, "it must wait for the slot")
		cancel()
		require.ErrorIs(t, <-waiting, context.Canceled)

		close(slow.Reader.(blocked).let)
		require.NoError(t, <-done)
		_, err := c.SHA256(t.Context(), open("b", 2, old))
		require.NoError(t, err, "the slot is free again")
	})
}

// TestKnownDigestNeedsNoSlot: it is there at once, while others wait, and so is a refusal.
func TestKnownDigestNeedsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := filedigest.New(2, 100, 1)
		f := open("a", 1, old)
		_, err := c.SHA256(t.Context(), f)
		require.NoError(t, err)
		slow := &file{Reader: blocked{make(chan struct{})}, key: filedigest.Key{Ino: 2}}
		done := make(chan error)
		go func() { _, err := c.SHA256(t.Context(), slow); done <- err }()
		synctest.Wait()
		// synctest finds a call that blocks.
		assert.True(t, cached(t, c, f))
		_, err = c.SHA256(t.Context(), &file{key: filedigest.Key{Ino: 3, Size: 101}})
		assert.ErrorIs(t, err, filedigest.ErrTooLarge)
		close(slow.Reader.(blocked).let)
		require.NoError(t, <-done)
	})
}

// TestSameFileAtTheSameTime: it is read once by those that wait for one slot, and is one
// entry if two have read it.
func TestSameFileAtTheSameTime(t *testing.T) {
	for _, readers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			c := filedigest.New(2, 100, readers)
			let := make(chan struct{})
			key := filedigest.Key{Ino: 1, Ctime: time.Now().Add(-old).UnixNano()}
			files := []*file{{Reader: blocked{let}, key: key}, {Reader: blocked{let}, key: key}}
			done := make(chan error)
			for _, f := range files {
				go func() { _, err := c.SHA256(t.Context(), f); done <- err }()
			}
			synctest.Wait()
			close(let)
			require.NoError(t, <-done)
			require.NoError(t, <-done)
			assert.Equal(t, readers, files[0].ends+files[1].ends)
			other := open("b", 2, old)
			_, err := c.SHA256(t.Context(), other)
			require.NoError(t, err)
			assert.True(t, cached(t, c, files[0]))
			assert.True(t, cached(t, c, other))
		})
	}
}

func TestReadingObeysTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	endless := &file{key: filedigest.Key{Ino: 1, Size: 1 << 40}}
	endless.Reader = readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	_, err := filedigest.New(1, 1<<50, 1).SHA256(ctx, endless)
	require.ErrorIs(t, err, context.Canceled)

	broken := errors.New("broken disk")
	endless.Reader = readerFunc(func([]byte) (int, error) { return 0, broken })
	_, err = filedigest.New(1, 1<<50, 1).SHA256(t.Context(), endless)
	require.ErrorIs(t, err, broken)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
