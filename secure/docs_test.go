package secure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSecurityDocumentNamesItsTests: every test that SECURITY.md names is where it
// says, and each row about an attacker names one, unless the attacker wins.
func TestSecurityDocumentNamesItsTests(t *testing.T) {
	b, err := os.ReadFile("../SECURITY.md")
	require.NoError(t, err)
	text := string(b)
	_, table, found := strings.Cut(text, "| attacker | tries |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")

	cells := 0
	for line := range strings.Lines(text) {
		dir := "secure"
		for _, word := range regexp.MustCompile("([a-z/]+): `|`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(strings.ReplaceAll(line, ": `", ": ``"), -1) {
			if word[1] != "" {
				dir = word[1]
				continue
			}
			cells++
			assert.Contains(t, testsIn(t, dir), word[2], "%s", line)
		}
	}
	require.Greater(t, cells, 50)
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		rows++
		assert.True(t, strings.Contains(line, "`Test") || strings.Contains(line, "**wins**"), "no test: %s", line)
	}
	require.Greater(t, rows, 20)
}

// testsIn are the tests of a package.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, dir)
	tests := make(map[string]bool)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
	}
	return tests
}
