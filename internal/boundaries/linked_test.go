//go:build long

package boundaries_test

import (
	"debug/macho"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/boundaries"
)

// The files show what a package imports; only the go command knows what is imported
// indirectly.
func TestPlainLayersLinkNoWebStack(t *testing.T) {
	rules := boundaries.Project()
	for _, target := range []string{"linux", "darwin"} {
		t.Run(target, func(t *testing.T) {
			cmd := exec.Command("go", "list", "-deps", "./"+rules.NoWeb)
			cmd.Dir = filepath.FromSlash(projectRoot)
			cmd.Env = append(os.Environ(), "GOOS="+target, "GOARCH=arm64", "CGO_ENABLED=0")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			require.NoError(t, err)
			deps := strings.Fields(string(out))
			require.Contains(t, deps, "log/slog", "the list is not what it should be")
			for _, web := range rules.Web {
				assert.NotContains(t, deps, web)
			}
		})
	}
}

// On Darwin a program needs libSystem and nothing else: what asks for more, such
// as Security.framework, is in packages that only their users import. Package os
// of Go's own has libresolv in the list of libraries too, and takes no symbol
// from it.
func TestHelloForDarwinNeedsLibSystemOnly(t *testing.T) {
	goTool, err := exec.LookPath("go")
	require.NoError(t, err, "the long proofs need the go command")
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "hello")
			// The same flags as in .ci/run, so that its build cache is used.
			cmd := exec.Command(goTool, "build", "-gcflags=all=-N -l -dwarf=false", "-ldflags=-w -s", "-o", program, "./examples/hello")
			cmd.Dir = filepath.FromSlash(projectRoot)
			cmd.Env = append(os.Environ(), "GOOS=darwin", "GOARCH="+arch, "CGO_ENABLED=0")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))

			f, err := macho.Open(program)
			require.NoError(t, err)
			defer f.Close()
			libraries, err := f.ImportedLibraries()
			require.NoError(t, err)
			require.Contains(t, libraries, "/usr/lib/libSystem.B.dylib")
			assert.Subset(t, []string{"/usr/lib/libSystem.B.dylib", "/usr/lib/libresolv.9.dylib"}, libraries)

			symbols, err := f.ImportedSymbols()
			require.NoError(t, err)
			require.NotEmpty(t, symbols)
			for _, s := range symbols {
				assert.False(t, strings.HasPrefix(s, "_res_"), "%s is libresolv's", s)
			}
		})
	}
}
