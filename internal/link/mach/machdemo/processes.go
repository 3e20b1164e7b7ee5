package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
)

// clients starts another process that runs a role of child's against a service,
// and returns its pid and what waits for its end.
type clients interface {
	start(ctx context.Context, role, service string) (pid int, wait func() error, err error)
}

// The roles of child.
const (
	roleEcho  = "echo"  // sends frames, reads their echo, closes
	roleCrash = "crash" // sends frames and ends without closing
)

// frames is how many the clients send.
const frames = 5000

// otherProcess runs this program again.
type otherProcess struct{ timeout time.Duration }

func (o otherProcess) start(ctx context.Context, role, service string) (int, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-timeout", o.timeout.String(), role, service)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	return cmd.Process.Pid, cmd.Wait, nil
}

// child is the other process. It returns the exit code.
func child(ctx context.Context, k mach.Kernel, role, service string) int {
	// The link is left as it is: a process that crashes does not close it.
	if _, err := client(ctx, k, role, service); err != nil {
		fmt.Fprintln(os.Stderr, "machdemo:", role, err)
		return 1
	}
	return 0
}

// client does what role asks for. The link that it returns is nil if there is none,
// and still open if role is roleCrash or an error is returned.
func client(ctx context.Context, k mach.Kernel, role, service string) (link.Link, error) {
	l, answer, accepted, err := machlink.Dial(ctx, k, service, []byte(role))
	if err != nil {
		return nil, err
	}
	if !accepted {
		return nil, fmt.Errorf("refused: %q", answer)
	}
	for i := range frames {
		if err := l.WriteFrame(ctx, nil, fmt.Appendf(nil, "frame %d", i)); err != nil {
			return l, err
		}
		if role == roleCrash {
			continue
		}
		f, err := l.ReadFrame(ctx)
		if err != nil || string(f) != fmt.Sprintf("frame %d", i) {
			return l, errors.Join(err, fmt.Errorf("echo %d is %q", i, f))
		}
	}
	if role == roleCrash {
		return l, nil
	}
	return l, l.Close()
}

// serviceNameOf is a name that no other run uses.
func serviceNameOf(k mach.Kernel) string {
	t, _ := k.Token()
	return fmt.Sprintf("com.github.sealport.machdemo.%d", t.PID())
}

func serviceName(ctx context.Context, k mach.Kernel, _ clients) (_ string, err error) {
	name := serviceNameOf(k) + ".name"
	if _, _, _, err := machlink.Dial(ctx, k, name, nil); !errors.Is(err, machlink.ErrNotFound) {
		return "", fmt.Errorf("looking up a name that no process offers: %v", err)
	}
	ln, err := machlink.Listen(k, name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ln.Close()) }()
	if _, err := machlink.Listen(k, name); !errors.Is(err, machlink.ErrInUse) {
		return "", fmt.Errorf("offering it twice: %v", err)
	}
	return name, nil
}

// host accepts the one client that it starts, and hands its link to serve.
func host(ctx context.Context, k mach.Kernel, other clients, role string, serve func(link.Link) error) (who string, err error) {
	name := serviceNameOf(k) + "." + role
	ln, err := machlink.Listen(k, name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ln.Close()) }()
	pid, wait, err := other.start(ctx, role, name)
	if err != nil {
		return "", fmt.Errorf("starting the other process: %w", err)
	}
	defer func() {
		if e := wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("the other process: %w", e))
		}
	}()
	p, err := ln.Accept(ctx)
	if err != nil {
		return "", err
	}
	token := mach.AuditToken(p.Credentials().AuditToken)
	if token.PID() != pid || string(p.Hello()) != role {
		return "", errors.Join(fmt.Errorf("pid %d says %q, started was %d", token.PID(), p.Hello(), pid), p.Refuse(nil))
	}
	l, err := p.Accept(nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return fmt.Sprintf("pid %d, euid %d", pid, token.EUID()), serve(l)
}

func twoProcesses(ctx context.Context, k mach.Kernel, other clients) (string, error) {
	n := 0
	who, err := host(ctx, k, other, roleEcho, func(l link.Link) error {
		for ; ; n++ {
			f, err := l.ReadFrame(ctx)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := l.WriteFrame(ctx, nil, f); err != nil {
				return err
			}
		}
	})
	if err == nil && n != frames {
		err = fmt.Errorf("%d frames of %d arrived", n, frames)
	}
	return fmt.Sprintf("%d frames echoed to %s, then its end", n, who), err
}

func deathOfProcess(ctx context.Context, k mach.Kernel, other clients) (string, error) {
	n := 0
	who, err := host(ctx, k, other, roleCrash, func(l link.Link) error {
		for ; ; n++ {
			_, err := l.ReadFrame(ctx)
			if errors.Is(err, link.ErrPeerGone) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err == nil && n != frames {
		err = fmt.Errorf("%d frames of %d arrived", n, frames)
	}
	return fmt.Sprintf("all %d frames of %s arrived, then word of its death", n, who), err
}
