package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	if text := os.Getenv(roleVariable); text != "" {
		if err := runJob(text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := command(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// lists are the sets of workloads by the name that -list takes.
var lists = map[string]func() []workload{"suite": suite, "machipc": machIPC}

// command is the program but for its processes.
func command(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	list := flags.String("list", "suite", "what to measure: suite or machipc")
	rows := flags.String("rows", "", "regular expression of the rows to measure")
	peers := flags.String("peers", "", "regular expression of the contenders")
	duration := flags.Duration("duration", 500*time.Millisecond, "how long each measurement takes")
	repetitions := flags.Int("repetitions", 5, "how often each measurement is repeated")
	quiet := flags.Bool("quiet", false, "print no progress")
	if err := flags.Parse(args); err != nil {
		return err
	}
	workloads, ok := lists[*list]
	if !ok {
		return fmt.Errorf("no list %q; -list is suite or machipc", *list)
	}
	if flags.NArg() > 0 || *repetitions < 1 || *duration <= 0 {
		return fmt.Errorf("usage: -duration and -repetitions must be above zero, and there are no arguments")
	}
	o := options{duration: *duration, repetitions: *repetitions, progress: progress}
	if *quiet {
		o.progress = io.Discard
	}
	var err error
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return err
	}
	if o.peers, err = regexp.Compile(*peers); err != nil {
		return err
	}
	t, err := run(workloads(), o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s/%s, %d CPUs%s; medians of %d, in parentheses times as good as %q\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernel(), o.repetitions, handWritten)
	return t.write(out)
}

// kernel is the kernel's version where that is easily known.
func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return ", kernel " + strings.TrimSpace(string(b))
}
