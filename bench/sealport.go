package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// way is how sealport is used.
type way int

const (
	plain way = iota
	attested
	secured
)

// config serves and reaches endpoints in the directory of the benchmark. On Darwin
// endpoints have no directory, so its name, which is unique, is part of their names.
func (w way) config(address string) (endpoint string, cfg *transport.Config) {
	dir, name := filepath.Split(address)
	cfg = &transport.Config{Dir: filepath.Clean(dir), Attested: w == attested, NoInProcess: true}
	if runtime.GOOS == "darwin" {
		name, cfg.Dir = filepath.Base(dir)+"."+name, ""
	}
	return name, cfg
}

// secureConfig is cfg with the host's or the client's key, and the other's to trust.
// The keys are no secret: both processes must know them.
func secureConfig(cfg *transport.Config, host bool) (*secure.Config, error) {
	hostKey, err := keys.NewPrivateKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		return nil, err
	}
	clientKey, err := keys.NewPrivateKey(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		return nil, err
	}
	if host {
		return &secure.Config{Transport: *cfg, Key: hostKey, Trust: keys.Allow(clientKey.Public())}, nil
	}
	return &secure.Config{Transport: *cfg, Key: clientKey, Trust: keys.Pin(hostKey.Public())}, nil
}

func (w way) host(address string, handler func(context.Context, transport.Message[[]byte])) (*transport.Host[[]byte], error) {
	endpoint, cfg := w.config(address)
	if w != secured {
		return transport.NewHost(endpoint, handler, cfg)
	}
	s, err := secureConfig(cfg, true)
	if err != nil {
		return nil, err
	}
	return secure.NewSecureHost(endpoint, handler, s)
}

func (w way) client(ctx context.Context, address string) (*transport.Client[[]byte], error) {
	endpoint, cfg := w.config(address)
	if w != secured {
		return transport.NewClient[[]byte](ctx, endpoint, cfg)
	}
	s, err := secureConfig(cfg, false)
	if err != nil {
		return nil, err
	}
	return secure.NewSecureClient[[]byte](ctx, endpoint, s)
}

type sealportServer struct {
	host   *transport.Host[[]byte]
	failed *atomic.Pointer[error]
}

func serveSealport(w way) func(string) (server, error) {
	return func(address string) (server, error) {
		var failed atomic.Pointer[error]
		host, err := w.host(address, func(_ context.Context, m transport.Message[[]byte]) {
			if m.Body[0] != ask {
				return
			}
			if err := m.Reply(context.Background(), m.Body); err != nil {
				failed.Store(&err)
			}
		})
		if err != nil {
			return nil, err
		}
		return &sealportServer{host, &failed}, nil
	}
}

func (s *sealportServer) stop() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.host.Shutdown(ctx)
	if failed := s.failed.Load(); failed != nil {
		err = errors.Join(err, *failed)
	}
	return s.host.Stats().ReceivedMessages, err
}

type sealportConn struct {
	client *transport.Client[[]byte]
}

func dialSealport(w way) func(string) (conn, error) {
	return func(address string) (conn, error) {
		client, err := w.client(context.Background(), address)
		if err != nil {
			return nil, err
		}
		return sealportConn{client}, nil
	}
}

func (c sealportConn) send(p []byte) error { return c.client.Send(context.Background(), p) }
func (c sealportConn) flush() error        { return c.client.Flush(context.Background()) }
func (c sealportConn) receive() ([]byte, error) {
	return c.client.Receive(context.Background())
}
func (c sealportConn) close() error { return c.client.Close() }
