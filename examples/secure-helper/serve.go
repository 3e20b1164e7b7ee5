package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// Limits of the helper. It serves one user's one program, one question at a time.
const (
	maxMessageSize = 4 << 10
	maxConnections = 16
	replyTimeout   = 5 * time.Second // a client that does not read its answer does not get it
	drainTimeout   = 5 * time.Second
)

// serve is the helper, until ctx ends.
func serve(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	endpoint := f.String("endpoint", defaultEndpoint, "name of the endpoint to serve")
	dir := f.String("dir", defaultDir, "directory of the endpoint, which all users may enter")
	keyFile := f.String("key", "", "file with the helper's private key; see keygen")
	allow := f.String("allow", "", "file that lists the public keys of clients, one per line")
	user := f.String("user", "", "user of the clients, by name or number")
	executable := f.String("executable", "", "absolute path of the client program")
	state := f.String("state", "", "directory of the settings")
	if err := parse(f, args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return errUsage
	}

	// The policy is only as safe as the files that it refers to.
	for _, path := range []string{*executable, *state} {
		if err := onlyOursToChange(path); err != nil {
			return err
		}
	}
	settings, err := openSettings(*state)
	if err != nil {
		return err
	}
	defer settings.close()
	key, err := keys.LoadFile(*keyFile, nil)
	if err != nil {
		return err
	}
	trust, err := keys.OpenAllowFile(*allow)
	if err != nil {
		return err
	}

	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	h := &helper{settings: settings, log: log}
	host, err := secure.NewSecureHost(*endpoint, h.handle, &secure.Config{
		Key:   key,
		Trust: trust,
		Transport: transport.Config{
			Dir:    *dir,
			Shared: true, // all users can connect; Peer and Trust decide
			// The user first, which is cheap to check, then the program.
			Peer: peer.AllOf(users(*user), peer.Executable(*executable)),
			// A client can't pass its connection on to another process.
			Attested:       true,
			MaxMessageSize: maxMessageSize,
			MaxConnections: maxConnections,
			Logger:         log,
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("serving", *endpoint)
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	return host.Shutdown(drain)
}

// users is the policy for a user given by name or number.
func users(user string) peer.Policy {
	if uid, err := strconv.ParseUint(user, 10, 32); err == nil {
		return peer.UIDs(uint32(uid))
	}
	return peer.Users(user)
}

// helper answers questions. Clients' handlers run in parallel.
type helper struct {
	settings *settings
	log      *slog.Logger
}

// handle answers one question and logs who asked it: the kernel-verified identity
// and the key, never what the message says.
func (h *helper) handle(_ context.Context, m transport.Message[message]) {
	text, err := h.answer(m)
	reply := message{Text: text}
	if err != nil {
		reply = message{Error: err.Error()}
	}
	h.log.Info("asked", "verb", m.Body.Verb, "name", m.Body.Name,
		"by", m.Session.Peer(), "key", m.Session.PeerKey().Fingerprint(), "error", reply.Error)
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
	defer cancel()
	if err := m.Reply(ctx, reply); err != nil {
		h.log.Warn("reply failed", "client", m.Session.Peer(), "error", err)
	}
}

func (h *helper) answer(m transport.Message[message]) (string, error) {
	switch m.Body.Verb {
	case "who":
		return who(m)
	case "list":
		return h.settings.list()
	case "get":
		return h.settings.get(m.Body.Name)
	case "set":
		return "", h.settings.set(m.Body.Name, m.Body.Text)
	}
	return "", errVerb
}

// who tells a client what the helper knows about it.
func who(m transport.Message[message]) (string, error) {
	program, err := m.Session.Peer().Executable()
	if err != nil {
		return "", err
	}
	t := m.Session.Peer().Token()
	return fmt.Sprintf("pid %d\nuid %d\nprogram %s\nkey %s", t.PID(), t.RUID(), program.Path, m.Session.PeerKey().Fingerprint()), nil
}
