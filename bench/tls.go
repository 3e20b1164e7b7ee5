package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"time"
)

// The same stream under TLS 1.3, with what Go chooses (AES where the machine has
// it). The client does not check the certificate, and has none: less than what
// sealport's handshake does.

func serveTLS(flush bool) func(string) (server, error) {
	return func(address string) (server, error) {
		cfg, err := tlsConfig()
		if err != nil {
			return nil, err
		}
		return newStreamServer("unix", address, func(nc net.Conn) (uint64, error) {
			return answer(newStreamConn(tls.Server(nc, cfg), flush))
		})
	}
}

func dialTLS(flush bool) func(string) (conn, error) {
	return func(address string) (conn, error) {
		nc, err := net.Dial("unix", address)
		if err != nil {
			return nil, err
		}
		cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
		return newStreamConn(tls.Client(nc, cfg), flush), nil
	}
}

// tlsConfig is a server's, with a certificate made for this run.
func tlsConfig() (*tls.Config, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
	}, nil
}
