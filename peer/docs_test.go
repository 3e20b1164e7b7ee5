package peer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentNamesItsTests: docs/IDENTITY.md has a row for each policy, and every test
// that it names exists.
func TestDocumentNamesItsTests(t *testing.T) {
	b, err := os.ReadFile("../docs/IDENTITY.md")
	require.NoError(t, err)
	text := string(b)

	tests, policies := map[string]bool{}, []string{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var inner []string
	for _, root := range []string{"internal", "../internal"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, "_test.go") {
				inner = append(inner, path)
			}
			return err
		}))
	}
	for _, file := range append(files, inner...) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || f.Recv != nil:
			case strings.HasSuffix(file, "_test.go"):
				tests[f.Name.Name] = true
			case f.Name.IsExported() && returnsPolicy(f):
				policies = append(policies, f.Name.Name)
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Benchmark)[A-Za-z0-9]+)`").FindAllStringSubmatch(text, -1)
	require.Greater(t, len(named), 50)
	for _, n := range named {
		assert.True(t, tests[n[1]], "%s does not exist", n[1])
	}
	require.Greater(t, len(policies), 20)
	rows := regexp.MustCompile("(?m)^\\| (`[A-Z][A-Za-z` ]*`) \\|.*`Test[A-Za-z]+` \\|$").FindAllStringSubmatch(text, -1)
	for _, p := range policies {
		found := false
		for _, row := range rows {
			found = found || strings.Contains(row[1], "`"+p+"`")
		}
		assert.True(t, found, "no row with a test for %s", p)
	}
}

func returnsPolicy(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	result, ok := f.Type.Results.List[0].Type.(*ast.Ident)
	return ok && result.Name == "Policy"
}
