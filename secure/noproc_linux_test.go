package secure_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"bytes"
	"context"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
	"github.com/sealport/sealport/peer"
)

func withoutProc(dir string) {
	_, err := os.Stat("/proc/self")
	if !errors.Is(err, fs.ErrNotExist) {
		must(fmt.Errorf("there is a /proc: %v", err))
	}
	for _, attested := range []bool{false, true} {
		fmt.Fprintln(os.Stderr, "attested", attested, trip(&transport.Config{Dir: dir, Attested: attested, NoInProcess: true}))
	}
	_, err = secure.NewSecureHost(endpoint, echoMessage, hostConfig(&transport.Config{Dir: dir}))
	fmt.Fprintln(os.Stderr, "secure", err)
	_ = strings.Repeat
	_ = filepath.Join
	_ = syscall.Mount
	_ = peer.Anyone
}

func trip(c *transport.Config) error {
	h, err := transport.NewHost(endpoint, echoMessage, c)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx := context.Background()
	client, err := transport.NewClient[[]byte](ctx, endpoint, c)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Send(ctx, []byte("x")); err != nil {
		return err
	}
	b, err := client.Receive(ctx)
	if !bytes.Equal(b, []byte("x")) {
		return errors.Join(err, errors.New("bad"))
	}
	return err
}

func chrooted(dir string) {
	must(unix.Chroot(dir))
	must(unix.Chdir("/"))
	must(os.MkdirAll("/run", 0o755))
	withoutProc("/run/x")
}

func TestWithoutProc(t *testing.T) {
	w := newWorld(t)
	w.dir = t.TempDir()
	w.start(t, "chrooted", 0)
	require.True(t, true)
}
