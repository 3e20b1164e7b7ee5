package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sealport/sealport/peer"
)

// Policies print as they are written. A policy that can never be evaluated refuses
// every peer; Validate finds it when the program starts.
func ExampleAllOf() {
	policy := peer.AllOf(
		peer.AnyOf(peer.SameUser(), peer.Root()),
		peer.Not(peer.Unit("guests.service")),
		peer.Executable("/usr/bin/example"),
	)
	fmt.Println(policy)
	fmt.Println(peer.Validate(peer.AllOf(peer.SameUser(), peer.Executable("example"))))
	// Output:
	// AllOf(AnyOf(SameUser, Root), Not(Unit("guests.service")), Executable("/usr/bin/example"))
	// peer: unusable policy: Executable("example"): the path is not absolute
}

// A rule that cannot be evaluated refuses, and so does its negation.
func ExampleCheck() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	ctx := context.Background()
	fmt.Println("program:", peer.Check(ctx, peer.Not(peer.Executable("/dev/null")), id))

	err = peer.Check(ctx, peer.Not(peer.TeamID("ABCDE12345")), id)
	var refused *peer.RefusedError
	if errors.As(err, &refused) {
		fmt.Println("refused by", refused.Rule)
		fmt.Println("because", refused.Reason)
	}
	// Output:
	// program: <nil>
	// refused by Not(TeamID("ABCDE12345"))
	// because Not(TeamID("ABCDE12345")): TeamID("ABCDE12345"): peer: not available: code signature on linux
}

// An ordinary daemon serves only the user that it runs as. Here client and daemon
// are one program.
func ExampleFromConn() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "socket")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()

	serve := func(ctx context.Context, conn *net.UnixConn) error {
		defer conn.Close()
		id, err := peer.FromConn(conn)
		if err != nil {
			return err
		}
		defer id.Close()
		if err := peer.Check(ctx, peer.SameUser(), id); err != nil {
			return err
		}
		_, err = io.WriteString(conn, "hello")
		return err
	}

	client, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	conn, err := listener.AcceptUnix()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := serve(context.Background(), conn); err != nil {
		fmt.Println(err)
		return
	}
	answer, err := io.ReadAll(client)
	fmt.Println(string(answer), err)
	// Output: hello <nil>
}

// A parent identifies the child that it has started.
func ExampleFromPIDFD() {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer cmd.Wait()
	defer in.Close() // cat ends

	var id *peer.Identity
	var idErr error
	err = cmd.Process.WithHandle(func(pidfd uintptr) {
		id, idErr = peer.FromPIDFD(cmd.Process.Pid, int(pidfd))
	})
	if err := errors.Join(err, idErr); err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	fmt.Println(peer.Check(context.Background(), peer.SameUser(), id))
	// Output: <nil>
}

// A process sees itself as its peers do.
func ExampleSelf() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	fmt.Println(id.Token().PID() == uint32(os.Getpid()), id.Alive())
	// Output: true <nil>
}

// The digest in a configuration file is that of sha256sum(1).
func ExampleExecutableDigest() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	digest, err := peer.ParseDigest("sha256:" + strings.Repeat("0", 64))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = peer.Check(context.Background(), peer.ExecutableDigest(digest), id)
	fmt.Println(errors.Is(err, peer.ErrRefused))
	// Output: true
}

func ExampleExecutable() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	path, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(peer.Check(context.Background(), peer.Executable(path), id))
	fmt.Println(errors.Is(peer.Check(context.Background(), peer.Executable("/dev/null"), id), peer.ErrRefused))
	// Output:
	// <nil>
	// true
}

func ExampleFunc() {
	id, err := peer.Self()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer id.Close()
	weekdays := peer.Func("weekdays", func(ctx context.Context, id *peer.Identity) error {
		return fmt.Errorf("it is Sunday: %w", peer.ErrRefused)
	})
	err = peer.Check(context.Background(), weekdays, id)
	fmt.Println(weekdays, errors.Is(err, peer.ErrRefused))
	// Output: Func("weekdays") true
}
