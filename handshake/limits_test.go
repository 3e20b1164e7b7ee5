package handshake_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/handshake"
)

// TestLimitsOfConfig: the smallest and the largest values are accepted, and one more is
// not.
func TestLimitsOfConfig(t *testing.T) {
	set := func(c *handshake.Config, endpoint, identity, binding int) {
		c.Endpoint = strings.Repeat("e", endpoint)
		c.InitiatorIdentity = bytes.Repeat([]byte("i"), identity)
		c.ResponderIdentity = bytes.Repeat([]byte("r"), identity)
		c.Binding = bytes.Repeat([]byte("b"), binding)
	}
	for _, n := range [][3]int{{1, 1, 0}, {handshake.MaxEndpoint, handshake.MaxIdentity, handshake.MaxBinding}} {
		c, h := variants[0].configs()
		set(&c, n[0], n[1], n[2])
		set(&h, n[0], n[1], n[2])
		client, host := pair(t, c, h)
		require.NoError(t, errorOf(run(client, host, nil)))
		requireAgreed(t, client, host)
	}
	for name, change := range map[string]func(*handshake.Config){
		"endpoint":           func(c *handshake.Config) { c.Endpoint += "e" },
		"initiator":          func(c *handshake.Config) { c.InitiatorIdentity = append(c.InitiatorIdentity, 'i') },
		"responder":          func(c *handshake.Config) { c.ResponderIdentity = append(c.ResponderIdentity, 'r') },
		"binding":            func(c *handshake.Config) { c.Binding = append(c.Binding, 'b') },
		"no endpoint":        func(c *handshake.Config) { c.Endpoint = "" },
		"nobody initiates":   func(c *handshake.Config) { c.InitiatorIdentity = nil },
		"nobody is to reply": func(c *handshake.Config) { c.ResponderIdentity = nil },
	} {
		c, _ := variants[0].configs()
		set(&c, handshake.MaxEndpoint, handshake.MaxIdentity, handshake.MaxBinding)
		change(&c)
		_, err := handshake.New(c)
		require.ErrorIs(t, err, handshake.ErrConfig, name)
	}
}
