package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"sync"

	"golang.org/x/tools/go/packages"
)

// A loader parses packages and checks their types. A package of the standard library is
// checked once for all modules, and without the bodies of its functions, which is most of
// the work.
type loader struct {
	goroot string // its directory "src"
	fset   *token.FileSet
	sizes  types.Sizes

	mu     sync.Mutex
	loaded map[string]*loading // by ID
}

type loading struct {
	once sync.Once
	pkg  *packages.Package
}

// load returns the packages that the patterns match in the module of a directory, with
// everything that analyzers need, and their tests.
func (l *loader) load(dir string, patterns []string) ([]*packages.Package, error) {
	initial, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedModule,
		Dir:   dir,
		Fset:  l.fset,
		Tests: true,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	if len(initial) == 0 {
		return nil, fmt.Errorf("%s: no package matches %q", dir, patterns)
	}
	// What another module loaded is other packages with the same names.
	for id, p := range l.loaded {
		if !l.standard(p.pkg) {
			delete(l.loaded, id)
		}
	}
	l.all(initial)
	for i, pkg := range initial {
		initial[i] = l.loaded[pkg.ID].pkg
	}
	return initial, nil
}

func (l *loader) standard(pkg *packages.Package) bool {
	return pkg.Module == nil && (pkg.PkgPath == "unsafe" || len(pkg.GoFiles) > 0 && within(l.goroot, pkg.GoFiles[0]))
}

func within(dir, file string) bool {
	path, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(path)
}

// all checks packages in parallel.
func (l *loader) all(pkgs []*packages.Package) {
	var wg sync.WaitGroup
	for _, pkg := range pkgs {
		wg.Go(func() { l.one(pkg) })
	}
	wg.Wait()
}

// one checks a package after those that it imports, unless that is done, and returns
// what stands for it.
func (l *loader) one(pkg *packages.Package) *packages.Package {
	l.mu.Lock()
	p := l.loaded[pkg.ID]
	if p == nil {
		p = &loading{pkg: pkg}
		l.loaded[pkg.ID] = p
	}
	l.mu.Unlock()
	p.once.Do(func() { l.check(p.pkg) })
	return p.pkg
}

func (l *loader) check(pkg *packages.Package) {
	pkg.Fset, pkg.TypesSizes = l.fset, l.sizes
	if pkg.PkgPath == "unsafe" {
		pkg.Types, pkg.TypesInfo = types.Unsafe, newInfo()
		return
	}
	imports := make([]*packages.Package, 0, len(pkg.Imports))
	for _, imported := range pkg.Imports {
		imports = append(imports, imported)
	}
	l.all(imports)
	for path, imported := range pkg.Imports {
		pkg.Imports[path] = l.one(imported)
	}

	for _, name := range pkg.CompiledGoFiles {
		file, err := parser.ParseFile(l.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		l.failed(pkg, packages.ParseError, err)
		if file != nil {
			pkg.Syntax = append(pkg.Syntax, file)
		}
	}
	standard := l.standard(pkg)
	config := &types.Config{
		IgnoreFuncBodies: standard,
		Sizes:            l.sizes,
		Importer:         importer(pkg.Imports),
		Error:            func(err error) { l.failed(pkg, packages.TypeError, err) },
	}
	if pkg.Module != nil && pkg.Module.GoVersion != "" {
		config.GoVersion = "go" + pkg.Module.GoVersion
	}
	info := newInfo()
	if standard {
		// Analyzers do not look at it. They get nothing to look at.
		pkg.TypesInfo, info = info, nil
	} else {
		pkg.TypesInfo = info
	}
	// Its error was reported to Error.
	pkg.Types, _ = config.Check(pkg.PkgPath, l.fset, pkg.Syntax, info)
	pkg.IllTyped = len(pkg.Errors) > 0
	for _, imported := range pkg.Imports {
		pkg.IllTyped = pkg.IllTyped || imported.IllTyped
	}
	if standard {
		pkg.Syntax = nil
		if !pkg.IllTyped {
			pkg.Imports = nil
		}
	}
}

func newInfo() *types.Info {
	return &types.Info{
		Types:        make(map[ast.Expr]types.TypeAndValue),
		Instances:    make(map[*ast.Ident]types.Instance),
		Defs:         make(map[*ast.Ident]types.Object),
		Uses:         make(map[*ast.Ident]types.Object),
		Implicits:    make(map[ast.Node]types.Object),
		Selections:   make(map[*ast.SelectorExpr]*types.Selection),
		Scopes:       make(map[ast.Node]*types.Scope),
		FileVersions: make(map[*ast.File]string),
	}
}

// failed adds an error to those of a package.
func (l *loader) failed(pkg *packages.Package, kind packages.ErrorKind, err error) {
	if err == nil {
		return
	}
	e := packages.Error{Msg: err.Error(), Kind: kind}
	if t, ok := errors.AsType[types.Error](err); ok {
		e.Pos, e.Msg = t.Fset.Position(t.Pos).String(), t.Msg
		pkg.TypeErrors = append(pkg.TypeErrors, t)
	}
	pkg.Errors = append(pkg.Errors, e)
}

// An importer finds what a package imports, by the path in its source.
type importer map[string]*packages.Package

func (i importer) Import(path string) (*types.Package, error) {
	if pkg := i[path]; pkg != nil && pkg.Types != nil {
		return pkg.Types, nil
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	return nil, fmt.Errorf("%q is not loaded", path)
}
