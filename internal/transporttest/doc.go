// Package transporttest is what a layer with Host, Client, Listener and Conn
// must do, as one suite: package transport passes it plainly, package secure
// with its handshake and records in between.
//
// A test package calls Main from its TestMain and Run from a test, both with
// its Layer. Main also lends the test binary to the suite's other processes:
// hosts and clients that are killed, and peers that break every rule.
package transporttest
