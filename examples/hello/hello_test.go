package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program is the example as people run it, built once.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		fmt.Println("hello has no carrier here")
		return 0
	}
	dir, err := os.MkdirTemp("", "sealport-hello-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "hello")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Printf("go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// hello runs the program and returns what it printed and its exit code.
func hello(t *testing.T, input io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &errs
	err := cmd.Run()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// shown is what the host prints of an input.
func shown(input string) string {
	var b strings.Builder
	for line := range strings.Lines(input) {
		b.WriteString("host: " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

func TestBuiltInText(t *testing.T) {
	out, errs, code := hello(t, nil)
	require.Zero(t, code, errs)
	// Two processes print: each its own lines in order, the same ones.
	var plain, sealed []string
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, "host: "); ok {
			plain = append(plain, text)
		} else if text, ok := strings.CutPrefix(line, "secure host: "); assert.True(t, ok, line) {
			sealed = append(sealed, text)
		}
	}
	assert.Len(t, plain, 5)
	assert.Equal(t, plain, sealed)
	// Who talks, what an eavesdropper gets, and how fast, for people.
	for _, want := range []string{
		`^  plain host  pid \d+ hears pid \d+ uid \d+ .*hello$`,
		`^  secure host pid \d+ hears pid \d+ uid \d+ .*hello$`,
		`^ +with the key [0-9a-f]{4}(-[0-9a-f]{4}){5}$`,
		`^  lines arrived +5 +5$`,
		`^  64-byte messages/s +[\d,]+ +[\d,]+$`,
		`^  question and answer +[\d.]+ µs +[\d.]+ µs$`,
	} {
		assert.Regexp(t, regexp.MustCompile("(?m)"+want), errs)
	}
	if runtime.GOOS == "linux" {
		assert.Regexp(t, regexp.MustCompile(`(?m)^  plain host  found:$`), errs)
		assert.Regexp(t, regexp.MustCompile(`(?m)^  secure host not found`), errs)
	}
}

func TestInputs(t *testing.T) {
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintln(&many, i+1)
	}
	table := map[string]string{
		"100,000 lines":          many.String(),
		"nothing":                "",
		"an empty line":          "\n",
		"empty lines":            "\n\n\na\n\n",
		"one line":               "x\n",
		"no newline at the end":  "first\nlast",
		"carriage returns":       "a\r\nb\r\n",
		"bytes that are no text": "\x00\xff\xfe\n\x1b[31m\n",
		"lines of 1 MiB":         strings.Repeat("y", 1<<20) + "\n" + strings.Repeat("z", 1<<20) + "\nshort\n",
	}
	for name, input := range table {
		t.Run(name, func(t *testing.T) {
			want := shown(input)
			file := filepath.Join(t.TempDir(), "input")
			require.NoError(t, os.WriteFile(file, []byte(input), 0o600))
			out, errs, code := hello(t, nil, file)
			assert.Zero(t, code, errs)
			same(t, want, out)
			out, errs, code = hello(t, strings.NewReader(input), "-")
			assert.Zero(t, code, errs)
			same(t, want, out)
			lines := strings.Count(want, "\n")
			if lines >= 1000 {
				return // written with commas
			}
			for _, row := range []string{"sent   ", "arrived"} {
				assert.Regexp(t, regexp.MustCompile(fmt.Sprintf(`(?m)^  lines %s +%d +%[2]d$`, row, lines)), errs)
			}
		})
	}
}

// same compares without printing megabytes.
func same(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	assert.Fail(t, "another output", "%d bytes instead of %d, the first difference at %d", len(got), len(want), i)
}

func TestFailures(t *testing.T) {
	table := map[string][]string{
		"missing file":       {filepath.Join(t.TempDir(), "missing")},
		"a folder":           {t.TempDir()},
		"too many arguments": {"a", "b"},
		"a line too long":    {longLine(t)},
	}
	for name, args := range table {
		t.Run(name, func(t *testing.T) {
			out, errs, code := hello(t, nil, args...)
			assert.Equal(t, 1, code)
			assert.Empty(t, out)
			assert.Regexp(t, `(?m)^hello: .+`, errs)
		})
	}
	t.Run("no folder for the endpoint", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("endpoints have no folder here")
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Join(t.TempDir(), "missing"))
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		assert.Equal(t, 1, cmd.ProcessState.ExitCode())
		assert.Contains(t, string(out), "XDG_RUNTIME_DIR", "what to do about it")
	})
}

// longLine is a file with a line above the default MaxMessageSize of 64 MiB.
func longLine(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "long")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Truncate(file, 65<<20)) // zeros, without a newline
	return file
}

// The host's process ends with its client, also with one that had no time to say
// goodbye: the pipe that both write to is closed.
func TestHostEndsWithItsClient(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command(program, "-")
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	cmd.Stdout = w
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	_, err = io.WriteString(input, "hello\n")
	require.NoError(t, err)
	first := make([]byte, len("host: hello\n"))
	_, err = io.ReadFull(r, first)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = r.Read(first)
	require.Equal(t, io.EOF, err, "the host's process is still there")
}
