package main

import (
	"bufio"
	"encoding/xml"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
)

// roleVariable makes the test binary run as the program.
const roleVariable = "SEALPORT_LAUNCHD_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	leaktest.Main(m)
}

func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"=1", "XDG_RUNTIME_DIR="+dir)
	return cmd
}

// TestServeAndSay starts the host by hand, as two processes.
func TestServeAndSay(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("needs a carrier: Linux or Darwin")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	serve := command(t, dir, "serve")
	out, err := serve.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, serve.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	assert.Equal(t, "serving "+endpoint, lines.Text())

	said, err := command(t, dir, "say", "good", "morning").CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Contains(t, string(said), ": heard\n")
	require.True(t, lines.Scan())
	assert.True(t, strings.HasSuffix(lines.Text(), " says: good morning"), lines.Text())

	require.NoError(t, serve.Process.Signal(os.Interrupt))
	require.NoError(t, serve.Wait())
	said, err = command(t, dir, "say", "anyone?").CombinedOutput()
	require.Error(t, err, "%s", said)
	assert.Contains(t, string(said), "no host")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"say"}, {"serve", "now"}, {"sing"}} {
		assert.Error(t, run(t.Context(), args), "%v", args)
	}
}

// TestPropertyListOffersTheEndpoint: the file is well-formed and its
// MachServices has the endpoint that the program serves.
func TestPropertyListOffersTheEndpoint(t *testing.T) {
	data, err := os.ReadFile(endpoint + ".plist")
	require.NoError(t, err)
	var list struct {
		Dict struct {
			Keys  []string `xml:"key"`
			Dicts []struct {
				Keys []string `xml:"key"`
			} `xml:"dict"`
			Arrays []struct {
				Strings []string `xml:"string"`
			} `xml:"array"`
		} `xml:"dict"`
	}
	require.NoError(t, xml.Unmarshal(data, &list))
	assert.Subset(t, list.Dict.Keys, []string{"Label", "ProgramArguments", "MachServices"})
	require.Len(t, list.Dict.Dicts, 1)
	assert.Equal(t, []string{endpoint}, list.Dict.Dicts[0].Keys)
	require.Len(t, list.Dict.Arrays, 1)
	assert.Equal(t, "serve", list.Dict.Arrays[0].Strings[1])
}
