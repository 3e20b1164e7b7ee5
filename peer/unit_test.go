package peer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
)

func TestUnitOfCgroup(t *testing.T) {
	for path, want := range map[string]string{
		"/system.slice/cups.service":                                        "cups.service",
		"/system.slice/system-getty.slice/getty@tty1.service":               "getty@tty1.service",
		"/system.slice/cups.service/payload/other.service":                  "cups.service",
		"/user.slice/user-1000.slice/session-2.scope":                       "session-2.scope",
		"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service": "user@1000.service",
		"/init.scope":                            "init.scope",
		"/a.slice/x.service":                     "x.service",
		"/system.slice/_cpu.service":             "cpu.service",
		"/system.slice/cups.service (deleted)":   "",
		"/":                                      "",
		"":                                       "",
		"/system.slice":                          "",
		"/docker/0123/system.slice/cups.service": "",
		"/../../system.slice/cups.service":       "",
		"/../cups.service":                       "",
		"/.service":                              "",
		"/cups.service.d":                        "",
	} {
		unit, err := peer.UnitOf(path)
		assert.Equal(t, want, unit, path)
		if want == "" {
			assert.ErrorIs(t, err, peer.ErrUnavailable, path)
		} else {
			assert.NoError(t, err, path)
		}
	}
}

// FuzzUnitOf: a unit is one part of the path, only slices come before it.
func FuzzUnitOf(f *testing.F) {
	f.Add("/system.slice/cups.service")
	f.Add("/../x.service")
	f.Add("/user.slice/_a.b.scope/x")
	f.Fuzz(func(t *testing.T, path string) {
		unit, err := peer.UnitOf(path)
		if err != nil {
			require.ErrorIs(t, err, peer.ErrUnavailable)
			return
		}
		require.NotContains(t, unit, "/")
		for _, part := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
			if !strings.HasSuffix(part, ".slice") {
				require.Equal(t, strings.TrimPrefix(part, "_"), unit)
				return
			}
		}
		t.Fatal("no part is the unit")
	})
}
