// Command machdemo shows on a Mac, step by step, that Mach ports work from Go
// without cgo in the way this project uses them. It needs no privileges and
// leaves nothing behind.
//
//	go run ./internal/link/mach/machdemo [-timeout 10m]
//
// Each step prints a line, ok or FAIL; the exit code is 0 if all are ok. The last
// steps start this program again as other processes, which find the first by its
// bootstrap name. A run that takes longer than the timeout has failed: the default is
// for machines that are busy with other things, on which a minute was too short.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sealport/sealport/internal/link/mach"
)

func main() {
	timeout := flag.Duration("timeout", 10*time.Minute, "how long the whole run may take")
	flag.Parse()
	if n := flag.NArg(); n != 0 && n != 2 {
		fmt.Fprintln(os.Stderr, "machdemo: unexpected arguments:", flag.Args())
		os.Exit(2)
	}
	k, err := mach.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "machdemo:", err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	go func() {
		<-ctx.Done()
		if ctx.Err() == context.DeadlineExceeded {
			fmt.Printf("FAIL  the step after the last line is not done after %v; see -timeout\n", *timeout)
			os.Exit(1)
		}
	}()
	if flag.NArg() == 2 {
		os.Exit(child(ctx, k, flag.Arg(0), flag.Arg(1)))
	}
	if !run(ctx, os.Stdout, k, otherProcess{*timeout}) {
		os.Exit(1)
	}
}

// step is one thing to show. It returns what was seen.
type step struct {
	name string
	run  func(ctx context.Context, k mach.Kernel, other clients) (string, error)
}

// run runs all steps, those after a failure too, and reports whether all were ok.
func run(ctx context.Context, w io.Writer, k mach.Kernel, other clients) bool {
	all := true
	for _, s := range steps {
		seen, err := s.run(ctx, k, other)
		if err != nil {
			all = false
			fmt.Fprintf(w, "FAIL  %s: %v\n", s.name, err)
			continue
		}
		fmt.Fprintf(w, "ok    %s: %s\n", s.name, seen)
	}
	return all
}
