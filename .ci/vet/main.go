// Vet runs the analyzers of go vet from source. Where go vet compiles the standard
// library first, it only checks types: twenty times as fast for a system or processor for
// which nothing has been compiled yet.
//
//	GOOS=freebsd CGO_ENABLED=0 vet [-in 'DIRECTORY...'] PATTERN...
//
// It looks at the packages that the patterns match in each directory, and at their tests.
// It does not look at the functions of the standard library, so that no analyzer knows
// there that log.Fatal does not return. go vet knows: it runs with go test.
//
// It exits with a code other than 0 if it finds anything, or if a package has an error.
package main

import (
	"flag"
	"fmt"
	"go/build"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/appends"
	"golang.org/x/tools/go/analysis/passes/asmdecl"
	"golang.org/x/tools/go/analysis/passes/assign"
	"golang.org/x/tools/go/analysis/passes/atomic"
	"golang.org/x/tools/go/analysis/passes/bools"
	"golang.org/x/tools/go/analysis/passes/buildtag"
	"golang.org/x/tools/go/analysis/passes/cgocall"
	"golang.org/x/tools/go/analysis/passes/composite"
	"golang.org/x/tools/go/analysis/passes/copylock"
	"golang.org/x/tools/go/analysis/passes/defers"
	"golang.org/x/tools/go/analysis/passes/directive"
	"golang.org/x/tools/go/analysis/passes/errorsas"
	"golang.org/x/tools/go/analysis/passes/framepointer"
	"golang.org/x/tools/go/analysis/passes/hostport"
	"golang.org/x/tools/go/analysis/passes/httpresponse"
	"golang.org/x/tools/go/analysis/passes/ifaceassert"
	"golang.org/x/tools/go/analysis/passes/loopclosure"
	"golang.org/x/tools/go/analysis/passes/lostcancel"
	"golang.org/x/tools/go/analysis/passes/nilfunc"
	"golang.org/x/tools/go/analysis/passes/printf"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/analysis/passes/sigchanyzer"
	"golang.org/x/tools/go/analysis/passes/slog"
	"golang.org/x/tools/go/analysis/passes/stdmethods"
	"golang.org/x/tools/go/analysis/passes/stdversion"
	"golang.org/x/tools/go/analysis/passes/stringintconv"
	"golang.org/x/tools/go/analysis/passes/structtag"
	"golang.org/x/tools/go/analysis/passes/testinggoroutine"
	"golang.org/x/tools/go/analysis/passes/tests"
	"golang.org/x/tools/go/analysis/passes/timeformat"
	"golang.org/x/tools/go/analysis/passes/unmarshal"
	"golang.org/x/tools/go/analysis/passes/unreachable"
	"golang.org/x/tools/go/analysis/passes/unsafeptr"
	"golang.org/x/tools/go/analysis/passes/unusedresult"
	"golang.org/x/tools/go/analysis/passes/waitgroup"
	"golang.org/x/tools/go/packages"
)

func main() {
	dirs := flag.String("in", ".", "the directories of the modules, separated by spaces")
	flag.Parse()
	l := &loader{
		goroot: filepath.Join(build.Default.GOROOT, "src"),
		fset:   token.NewFileSet(),
		sizes:  types.SizesFor("gc", build.Default.GOARCH),
		loaded: make(map[string]*loading),
	}
	rc := 0
	for dir := range strings.FieldsSeq(*dirs) {
		if err := vet(l, dir, flag.Args()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			rc = 1
		}
	}
	os.Exit(rc)
}

// vet prints what the analyzers find.
func vet(l *loader, dir string, patterns []string) error {
	initial, err := l.load(dir, patterns)
	if err != nil {
		return err
	}
	if n := packages.PrintErrors(initial); n > 0 {
		return fmt.Errorf("%s: %d errors, and nothing was vetted", dir, n)
	}
	graph, err := checker.Analyze(analyzers, initial, nil)
	if err != nil {
		return err
	}
	if err := graph.PrintText(os.Stderr, -1); err != nil {
		return err
	}
	failed := 0
	for _, action := range graph.Roots {
		failed += len(action.Diagnostics)
		if action.Err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s: %d findings", dir, failed)
	}
	return nil
}

var analyzers = []*analysis.Analyzer{
	appends.Analyzer,
	asmdecl.Analyzer,
	assign.Analyzer,
	atomic.Analyzer,
	bools.Analyzer,
	buildtag.Analyzer,
	cgocall.Analyzer,
	composite.Analyzer,
	copylock.Analyzer,
	defers.Analyzer,
	directive.Analyzer,
	errorsas.Analyzer,
	framepointer.Analyzer,
	hostport.Analyzer,
	httpresponse.Analyzer,
	ifaceassert.Analyzer,
	loopclosure.Analyzer,
	lostcancel.Analyzer,
	nilfunc.Analyzer,
	printf.Analyzer,
	shift.Analyzer,
	sigchanyzer.Analyzer,
	slog.Analyzer,
	stdmethods.Analyzer,
	stdversion.Analyzer,
	stringintconv.Analyzer,
	structtag.Analyzer,
	testinggoroutine.Analyzer,
	tests.Analyzer,
	timeformat.Analyzer,
	unmarshal.Analyzer,
	unreachable.Analyzer,
	unsafeptr.Analyzer,
	unusedresult.Analyzer,
	waitgroup.Analyzer,
}
