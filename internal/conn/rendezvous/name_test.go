package rendezvous_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func TestCheckName(t *testing.T) {
	good := []string{"a", "9", "com.example.service", "A-b_c.D", "0.", "x..y", strings.Repeat("n", rendezvous.MaxName)}
	for _, name := range good {
		assert.NoError(t, rendezvous.CheckName(name), "%q", name)
	}
	bad := []string{
		"", ".", "..", ".hidden", "-option", "_x", "a/b", "/abs", "a\\b", "a b", "a\x00", "a\n", "a~b", "a:b", "é",
		"a\xff", "~", strings.Repeat("n", rendezvous.MaxName+1), strings.Repeat("n", 1<<16),
	}
	for _, name := range bad {
		assert.ErrorIs(t, rendezvous.CheckName(name), rendezvous.ErrName, "%q", name)
	}
}

// The character that separates a cut name from its hash is in no name.
func FuzzCheckName(f *testing.F) {
	f.Add("com.example.service")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, name string) {
		if rendezvous.CheckName(name) == nil {
			assert.Regexp(t, `^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$`, name)
			assert.NotContains(t, name, "\n")
		}
	})
}
