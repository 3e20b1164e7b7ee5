package boundaries_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/boundaries"
)

const projectRoot = "../.."

func TestProjectKeepsItsBoundaries(t *testing.T) {
	report, err := boundaries.Check(os.DirFS(projectRoot), boundaries.Project())
	require.NoError(t, err)
	for _, v := range report.Violations {
		t.Error(v)
	}
	for _, layer := range boundaries.Project().Layers {
		for _, pkg := range layer {
			assert.DirExists(t, filepath.Join(projectRoot, filepath.FromSlash(pkg)), "it is in the table of layers")
		}
	}
	// The check must not pass because it found nothing to look at.
	assert.GreaterOrEqual(t, report.Packages, 15)
	assert.GreaterOrEqual(t, report.Files, 80)
}

// rules are small ones for synthetic trees: low is below mid, mid below high.
func rules() boundaries.Rules {
	return boundaries.Rules{
		Module:          "example.com/m",
		Layers:          [][]string{{"internal/low", "lowtest"}, {"mid", "midtest", "midtest/part", "beside"}, {"high"}},
		KernelDirectory: "internal",
		SystemModules:   []string{"golang.org/x/sys"},
		NoWeb:           "mid",
		Web:             []string{"net/http"},
		Requires:        []string{"golang.org/x/sys", "example.com/agreed", "example.com/assert"},
		TestOnly:        []string{"example.com/assert"},
	}
}

const goMod = `module example.com/m

go 1.26

require example.com/agreed v1.0.0

require (
	example.com/assert v1.2.3
	example.com/far v0.1.0 // indirect
	golang.org/x/sys v0.2.0
)
`

// good is a tree that keeps to rules.
func good() map[string]string {
	return map[string]string{
		"go.mod":                      goMod,
		"internal/low/low.go":         "// Package low is low.\npackage low\nimport (\n\t\"golang.org/x/sys/unix\"\n\t_ \"unsafe\"\n)\n",
		"internal/low/low_unsafe.go":  "package low\nimport \"unsafe\"\n",
		"internal/low/low_amd64.s":    "// assembly\n",
		"mid/mid.go":                  "// Package mid is in the middle.\npackage mid\nimport \"example.com/m/internal/low\"\n",
		"mid/mid_test.go":             "package mid_test\nimport (\n\t\"example.com/m/high\"\n\t\"example.com/assert/require\"\n\t\"net/http\"\n)\n",
		"midtest/midtest.go":          "// Package midtest helps tests.\npackage midtest\nimport (\n\t\"testing\"\n\t\"example.com/assert\"\n)\n",
		"midtest/part/part.go":        "// Package part is of midtest.\npackage part\nimport (\n\t\"testing/iotest\"\n\t\"example.com/m/lowtest\"\n)\n",
		"lowtest/lowtest.go":          "// Package lowtest helps tests.\npackage lowtest\n",
		"high/high.go":                "// Package high is high.\npackage high\nimport (\n\t\"example.com/m/mid\"\n\t\"example.com/agreed/part\"\n\t\"net/http\"\n)\n",
		"mid/testdata/x/x.go":         "not Go at all",
		"tools/go.mod":                "module example.com/tools\n",
		"tools/main.go":               "package main\nimport \"unsafe\"\n",
		"high/node_modules/y/y.go":    "not Go either",
		"high/.hidden/z.go":           "nor this",
		"high/README":                 "text",
		"internal/low/doc_darwin.go":  "package low\n",
		"internal/low/other_plan9.go": "package low\n",
	}
}

func check(t *testing.T, files map[string]string) boundaries.Report {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	report, err := boundaries.Check(tree, rules())
	require.NoError(t, err)
	return report
}

func TestGoodTreePasses(t *testing.T) {
	report := check(t, good())
	assert.Empty(t, report.Violations)
	assert.Equal(t, 6, report.Packages)
	assert.Equal(t, 11, report.Files)
}

func TestViolationIsFound(t *testing.T) {
	for _, row := range []struct {
		name string
		file string // put into the good tree
		text string
		want boundaries.Rule
	}{
		{"package not in the table", "new/new.go", "// Package new is new.\npackage new\n", boundaries.Unplaced},
		{"program not in the table", "cmd/x/main.go", "// X is new.\npackage main\n", boundaries.Unplaced},
		{"import from above", "mid/up.go", "package mid\nimport \"example.com/m/high\"\n", boundaries.Layering},
		{"import from above on another system", "mid/up_darwin.go", "package mid\nimport \"example.com/m/high\"\n", boundaries.Layering},
		{"import from above behind a build tag", "mid/up.go", "//go:build ignore\n\npackage mid\nimport \"example.com/m/high\"\n", boundaries.Layering},
		{"import within a layer", "beside/b.go", "// Package beside is beside.\npackage beside\nimport \"example.com/m/mid\"\n", boundaries.Layering},
		{"unsafe outside", "mid/x_unsafe.go", "package mid\nimport \"unsafe\"\n", boundaries.Kernel},
		{"linkname outside", "mid/x.go", "package mid\nimport _ \"unsafe\"\n", boundaries.Kernel},
		{"unsafe in a test outside", "mid/x_unsafe_test.go", "package mid\nimport \"unsafe\"\n", boundaries.Kernel},
		{"x/sys outside", "mid/x_windows.go", "package mid\nimport \"golang.org/x/sys/windows\"\n", boundaries.Kernel},
		{"assembly outside", "high/x_arm64.s", "", boundaries.Kernel},
		{"a directory like internal", "internals/x.s", "", boundaries.Kernel},
		{"unsafe without its name", "internal/low/fast.go", "package low\nimport \"unsafe\"\n", boundaries.UnsafeName},
		{"unsafe by another name", "internal/low/fast.go", "package low\nimport u \"unsafe\"\n", boundaries.UnsafeName},
		{"cgo", "internal/low/c.go", "package low\nimport \"C\"\n", boundaries.NoCgo},
		{"web below", "internal/low/w.go", "package low\nimport \"net/http\"\n", boundaries.WebStack},
		{"web at the limit", "mid/w.go", "package mid\nimport \"net/http\"\n", boundaries.WebStack},
		{"no package comment", "internal/low/low.go", "package low\n", boundaries.Undocumented},
		{"empty package comment", "internal/low/low.go", "//\npackage low\n", boundaries.Undocumented},
		{"foreign module", "high/f.go", "package high\nimport \"example.org/other\"\n", boundaries.Dependency},
		{"foreign module in a test", "high/f_test.go", "package high\nimport \"example.com/agreedx\"\n", boundaries.Dependency},
		{"test module outside of tests", "high/f.go", "package high\nimport \"example.com/assert\"\n", boundaries.Dependency},
		{"test helper outside of tests", "high/f.go", "package high\nimport \"example.com/m/midtest\"\n", boundaries.TestHelper},
		{"a test helper's part outside of tests", "high/f.go", "package high\nimport \"example.com/m/midtest/part\"\n", boundaries.TestHelper},
		{"testing outside of tests", "high/f.go", "package high\nimport \"testing\"\n", boundaries.TestHelper},
		{"a part of testing outside of tests", "high/f.go", "package high\nimport \"testing/iotest\"\n", boundaries.TestHelper},
		{"testing in a directory like a test helper's", "mid/testers.go", "package mid\nimport t \"testing\"\n", boundaries.TestHelper},
		{"foreign requirement", "go.mod", goMod + "require example.org/other v1.0.0\n", boundaries.Dependency},
		{"foreign requirement in a block", "go.mod", goMod + "require (\n\texample.org/other v1.0.0 // for what?\n)\n", boundaries.Dependency},
	} {
		t.Run(row.name, func(t *testing.T) {
			files := good()
			files[row.file] = row.text
			report := check(t, files)
			require.NotEmpty(t, report.Violations)
			for _, v := range report.Violations {
				assert.Equal(t, row.want, v.Rule, v.String())
			}
		})
	}
}

func TestCheckRefusesWhatItCannotRead(t *testing.T) {
	for name, change := range map[string]func(map[string]string){
		"no go.mod":       func(f map[string]string) { delete(f, "go.mod") },
		"go.mod replaces": func(f map[string]string) { f["go.mod"] += "replace example.com/agreed => ../agreed\n" },
		"strange go.mod":  func(f map[string]string) { f["go.mod"] += "require one two three\n" },
		"broken source":   func(f map[string]string) { f["mid/broken.go"] = "pakage mid\n" },
	} {
		t.Run(name, func(t *testing.T) {
			files := good()
			change(files)
			tree := fstest.MapFS{}
			for name, text := range files {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			_, err := boundaries.Check(tree, rules())
			require.Error(t, err)
		})
	}
	twice := rules()
	twice.Layers = append(slices.Clone(twice.Layers), []string{"mid"})
	_, err := boundaries.Check(fstest.MapFS{"go.mod": {Data: []byte(goMod)}}, twice)
	require.Error(t, err)
}
