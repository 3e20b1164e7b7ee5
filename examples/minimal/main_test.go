package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
)

// roleVariable makes the test binary run as the program.
const roleVariable = "SEALPORT_MINIMAL_TEST"

// limit is when the processes have hung.
const limit = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	leaktest.Main(m)
}

// TestHostAndClient runs the program twice: a client gets an answer from the host,
// and an interrupt ends the host gracefully.
func TestHostAndClient(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("needs a carrier: Linux or Darwin")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0], args...)
		cmd.Env = append(os.Environ(), roleVariable+"=1", "XDG_RUNTIME_DIR="+dir, "GORACE=atexit_sleep_ms=0")
		return cmd
	}

	host := command()
	log, err := host.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, host.Start())
	lines := bufio.NewReader(log)
	line, err := lines.ReadString('\n')
	require.NoError(t, err, line)

	answer, err := command("Ada").CombinedOutput()
	require.NoError(t, err, "%s", answer)
	assert.True(t, strings.HasSuffix(string(answer), " answers hello, Ada\n"), "%s", answer)

	line, err = lines.ReadString('\n')
	require.NoError(t, err, line)
	assert.True(t, strings.HasSuffix(line, " says Ada\n"), line)
	require.NoError(t, host.Process.Signal(os.Interrupt))
	require.NoError(t, host.Wait())
}
