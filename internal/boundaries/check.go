// Package boundaries holds the rules for imports, and a check of a source tree
// against them. Its test runs the check on the whole project; a new package has to be
// added to Project.
//
// Files are parsed one by one rather than built, so that those of every
// operating system count.
package boundaries

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Rules are what a source tree must keep to. Packages are named relative to the
// module.
type Rules struct {
	Module string

	// Layers are the packages from bottom to top. A package imports only
	// packages of lower layers, and every package is in exactly one.
	Layers [][]string

	// KernelDirectory is the name of the directories below which unsafe, the
	// SystemModules and assembly are allowed, wherever they are in the tree.
	KernelDirectory string
	SystemModules   []string

	// NoWeb is the package that must not import any of Web, nor may any package
	// in a lower layer.
	NoWeb string
	Web   []string

	// Requires are the modules that go.mod may name as direct requirements;
	// TestOnly those among them that only tests and test helpers import. A test
	// helper is a package in or below a directory whose name ends in "test".
	Requires []string
	TestOnly []string
}

// Rule names what was violated.
type Rule string

// The rules.
const (
	Unplaced     Rule = "every package is in the table of layers"
	Layering     Rule = "no package imports one of its own layer or above"
	Kernel       Rule = "unsafe, x/sys and assembly only below a directory named internal"
	UnsafeName   Rule = "a file that imports unsafe is named *_unsafe*.go"
	NoCgo        Rule = "no cgo"
	WebStack     Rule = "transport and what is below it import no TLS, X.509 or HTTP"
	Undocumented Rule = "every package has a package comment"
	Dependency   Rule = "no module that is not agreed upon"
	TestHelper   Rule = "testing and test helpers are imported by tests and test helpers only"
)

// Violation is one place where a tree breaks a rule.
type Violation struct {
	Rule   Rule
	Where  string // file or package, relative to the tree
	Detail string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (%s)", v.Where, v.Detail, v.Rule)
}

// Report is the result of Check.
type Report struct {
	Packages   int // with Go files
	Files      int // Go and assembly
	Violations []Violation
}

// Check reads the tree at root. Directories that the go command skips, and modules
// of their own, are left out.
func Check(root fs.FS, r Rules) (Report, error) {
	c := &checker{Rules: r, root: root, layer: make(map[string]int), documented: make(map[string]bool)}
	for i, names := range r.Layers {
		for _, name := range names {
			if _, twice := c.layer[name]; twice {
				return Report{}, fmt.Errorf("boundaries: package %s is in the table twice", name)
			}
			c.layer[name] = i
		}
	}
	if err := fs.WalkDir(root, ".", c.visit); err != nil {
		return Report{}, err
	}
	for pkg, ok := range c.documented {
		if !ok {
			c.add(Undocumented, pkg, "no file has a package comment")
		}
		if _, ok := c.layer[pkg]; !ok {
			c.add(Unplaced, pkg, "add it to Layers in internal/boundaries/project.go")
		}
	}
	c.report.Packages = len(c.documented)
	if err := c.goMod(); err != nil {
		return Report{}, err
	}
	slices.SortFunc(c.report.Violations, func(a, b Violation) int { return strings.Compare(a.String(), b.String()) })
	return c.report, nil
}

type checker struct {
	Rules
	root       fs.FS
	layer      map[string]int
	documented map[string]bool // by package: has it a package comment?
	report     Report
}

func (c *checker) add(rule Rule, where, format string, args ...any) {
	c.report.Violations = append(c.report.Violations, Violation{rule, where, fmt.Sprintf(format, args...)})
}

func (c *checker) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := path.Base(name)
	if d.IsDir() {
		if name == "." {
			return nil
		}
		// "go help packages" leaves out these.
		if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" || base == "node_modules" {
			return fs.SkipDir
		}
		_, err := fs.Stat(c.root, path.Join(name, "go.mod"))
		if err == nil {
			return fs.SkipDir
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	switch filepath.Ext(name) {
	case ".s":
		c.report.Files++
		if !c.inKernelDirectory(path.Dir(name)) {
			c.add(Kernel, name, "assembly")
		}
	case ".go":
		c.report.Files++
		return c.goFile(name)
	}
	return nil
}

func (c *checker) inKernelDirectory(pkg string) bool {
	return slices.Contains(strings.Split(pkg, "/"), c.KernelDirectory)
}

func (c *checker) goFile(name string) error {
	src, err := fs.ReadFile(c.root, name)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	pkg := path.Dir(name)
	c.documented[pkg] = c.documented[pkg] || file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != ""
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		c.anyImport(name, pkg, imported, spec)
		if own, ok := strings.CutPrefix(imported, c.Module+"/"); ok && !strings.HasSuffix(name, "_test.go") {
			c.ownImport(name, pkg, own)
		}
	}
	return nil
}

// anyImport checks what holds for tests too.
func (c *checker) anyImport(name, pkg, imported string, spec *ast.ImportSpec) {
	forTests := strings.HasSuffix(name, "_test.go") || isTestHelper(pkg)
	switch {
	case imported == "C":
		c.add(NoCgo, name, "import \"C\"")
	case imported == "unsafe":
		if !c.inKernelDirectory(pkg) {
			c.add(Kernel, name, "imports unsafe")
		}
		// import _ "unsafe" is what go:linkname asks for; no pointer is made.
		blank := spec.Name != nil && spec.Name.Name == "_"
		if !blank && !strings.Contains(path.Base(name), "_unsafe") {
			c.add(UnsafeName, name, "imports unsafe")
		}
	case slices.Contains(c.Web, imported):
		// A package that is not in the table counts as layer 0.
		if c.layer[pkg] <= c.layer[c.NoWeb] && !strings.HasSuffix(name, "_test.go") {
			c.add(WebStack, name, "imports %s", imported)
		}
	}
	if slices.ContainsFunc(c.SystemModules, within(imported)) && !c.inKernelDirectory(pkg) {
		c.add(Kernel, name, "imports %s", imported)
	}
	if within(imported)("testing") && !forTests {
		c.add(TestHelper, name, "imports %s", imported)
	}
	if slices.ContainsFunc(c.TestOnly, within(imported)) && !forTests {
		c.add(Dependency, name, "imports %s outside of tests", imported)
	}
	first, _, _ := strings.Cut(imported, "/")
	foreign := strings.Contains(first, ".") && !within(imported)(c.Module)
	if foreign && !slices.ContainsFunc(c.Requires, within(imported)) {
		c.add(Dependency, name, "imports %s", imported)
	}
}

// within returns whether imported is of a module.
func within(imported string) func(module string) bool {
	return func(module string) bool {
		return imported == module || strings.HasPrefix(imported, module+"/")
	}
}

// isTestHelper reports whether a package is for tests, as httptest is: the name of
// its directory, or of one above it, ends in "test".
func isTestHelper(pkg string) bool {
	return slices.ContainsFunc(strings.Split(pkg, "/"), func(dir string) bool { return strings.HasSuffix(dir, "test") })
}

// ownImport checks the import of a package of the project, outside of tests.
func (c *checker) ownImport(name, pkg, imported string) {
	if isTestHelper(imported) && !isTestHelper(pkg) {
		c.add(TestHelper, name, "imports %s", imported)
	}
	from, ok1 := c.layer[pkg]
	to, ok2 := c.layer[imported]
	if ok1 && ok2 && to >= from {
		c.add(Layering, name, "imports %s, layer %d, from layer %d", imported, to, from)
	}
}

// goMod checks the direct requirements.
func (c *checker) goMod() error {
	mod, err := fs.ReadFile(c.root, "go.mod")
	if err != nil {
		return err
	}
	direct, err := directRequirements(string(mod))
	if err != nil {
		return err
	}
	for _, m := range direct {
		if !slices.Contains(c.Requires, m) {
			c.add(Dependency, "go.mod", "requires %s", m)
		}
	}
	return nil
}

// directRequirements are the modules that a go.mod requires without the comment
// "// indirect".
func directRequirements(mod string) ([]string, error) {
	var direct []string
	block := false
	for line := range strings.Lines(mod) {
		text, comment, _ := strings.Cut(strings.TrimSpace(line), "//")
		words := strings.Fields(text)
		switch {
		case len(words) == 0:
			continue
		case words[0] == "require" && len(words) == 2 && words[1] == "(":
			block = true
			continue
		case words[0] == ")":
			block = false
			continue
		case words[0] == "require":
			words = words[1:]
		case words[0] == "replace":
			return nil, errors.New("boundaries: go.mod replaces modules: users of a library do not see that")
		case !block:
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("boundaries: go.mod: can't read %q", strings.TrimSpace(line))
		}
		if strings.TrimSpace(comment) != "indirect" {
			direct = append(direct, words[0])
		}
	}
	return direct, nil
}
