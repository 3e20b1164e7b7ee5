package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/keys"
)

// roleVariable makes the test binary run as the program.
const roleVariable = "SEALPORT_SECURE_HELPER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	leaktest.Main(m)
}

func TestUsage(t *testing.T) {
	ask := []string{"ask", "-key", "k", "-host", keys.Generate().Public().String()}
	for _, args := range [][]string{
		nil, {"sing"}, {"keygen"}, {"keygen", "one", "two"},
		{"serve"}, {"serve", "-key", "k", "-allow", "a", "-user", "u", "-executable", "/e"},
		{"serve", "-key", "k", "-allow", "a", "-user", "u", "-executable", "/e", "-state", "/s", "more"},
		{"serve", "-nonsense"},
		ask, append(ask, "sing"), append(ask, "get"), append(ask, "set", "volume"), append(ask, "who", "else"),
		{"ask", "-key", "k", "who"},
		{"ask", "-key", "k", "-host", "sealport1", "who"},
		{"ask", "-key", "k", "-host", "x", "-known-hosts", "f", "who"},
		{"ask", "-host", keys.Generate().Public().String(), "who"},
	} {
		err := run(t.Context(), args)
		assert.ErrorIs(t, err, errUsage, "%v", args)
		assert.Equal(t, 2, exitCode(err))
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	s, err := openSettings(dir)
	require.NoError(t, err)
	defer s.close()

	for _, row := range []struct {
		name, value string
		want        error
	}{
		{"volume", "0", nil},
		{"volume", "100", nil},
		{"volume", "101", errValue},
		{"volume", "-1", errValue},
		{"volume", "+1", errValue},
		{"volume", "007", errValue},
		{"volume", "", errValue},
		{"power-saving", "on", nil},
		{"power-saving", "On", errValue},
		{"greeting", "Grüß Gott, 世界", nil},
		{"greeting", strings.Repeat("ü", 80), nil},
		{"greeting", strings.Repeat("ü", 81), errValue},
		{"greeting", "two\nlines", errValue},
		{"greeting", "\x1b[2J", errValue},
		{"greeting", "\xff", errValue},
		{"", "", errName},
		{"volume.new", "1", errName},
		{"../volume", "1", errName},
		{"Volume", "1", errName},
	} {
		t.Run(fmt.Sprintf("%s=%.10q", row.name, row.value), func(t *testing.T) {
			before, _ := s.get(row.name)
			err := s.set(row.name, row.value)
			require.ErrorIs(t, err, row.want)
			after, err := s.get(row.name)
			switch row.want {
			case nil:
				require.NoError(t, err)
				assert.Equal(t, row.value, after)
			case errName:
				assert.ErrorIs(t, err, errName)
			default:
				assert.Equal(t, before, after)
			}
		})
	}
	text, err := s.list()
	require.NoError(t, err)
	assert.Equal(t, "greeting="+strings.Repeat("ü", 80)+"\npower-saving=on\nvolume=100", text)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 3)
}
