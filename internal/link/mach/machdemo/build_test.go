//go:build long

package main

import (
	"debug/macho"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNeedsOnlyLibSystem builds the demonstration for both kinds of Mac without
// cgo and reads which libraries the result loads: Mach ports must not cost
// Security.framework and what comes with it. Every Go program on Darwin that
// imports package os loads libresolv too (internal/syscall/unix).
func TestNeedsOnlyLibSystem(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "machdemo")
			// The same flags as in .ci/run, so that its build cache is used.
			build := exec.CommandContext(t.Context(), goTool, "build", "-gcflags=all=-N -l -dwarf=false", "-ldflags=-w -s", "-o", file, ".")
			build.Env = append(os.Environ(), "GOOS=darwin", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
			f, err := macho.Open(file)
			require.NoError(t, err)
			defer f.Close()
			libraries, err := f.ImportedLibraries()
			require.NoError(t, err)
			assert.Equal(t, []string{"/usr/lib/libSystem.B.dylib", "/usr/lib/libresolv.9.dylib"}, libraries)
			symbols, err := f.ImportedSymbols()
			require.NoError(t, err)
			for _, want := range []string{"_mach_msg", "_mach_task_self_", "_bootstrap_check_in", "_bootstrap_port"} {
				assert.Contains(t, symbols, want)
			}
		})
	}
}
