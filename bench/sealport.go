package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/transport"
)

// config serves and reaches endpoints in the folder of the benchmark.
func config(address string, attested bool) (endpoint string, cfg *transport.Config) {
	return filepath.Base(address), &transport.Config{
		Folder: filepath.Dir(address), Attested: attested, NoInProcess: true,
	}
}

type sealportServer struct {
	host   *transport.Host[[]byte]
	failed *atomic.Pointer[error]
}

func serveSealport(attested bool) func(string) (server, error) {
	return func(address string) (server, error) {
		endpoint, cfg := config(address, attested)
		var failed atomic.Pointer[error]
		host, err := transport.NewHost(endpoint, func(m transport.Message[[]byte]) {
			if m.Body[0] != ask {
				return
			}
			if err := m.Reply(context.Background(), m.Body); err != nil {
				failed.Store(&err)
			}
		}, cfg)
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

func dialSealport(attested bool) func(string) (conn, error) {
	return func(address string) (conn, error) {
		endpoint, cfg := config(address, attested)
		client, err := transport.NewClient[[]byte](context.Background(), endpoint, cfg)
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
