package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/keys"
)

// roleVariable makes the test binary run as the program.
const roleVariable = "SEALPORT_HELLO_TEST"

// limit is how long a process may take that should end at once.
const limit = 60 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	leaktest.Main(m)
}

// command is the program, which has the endpoints' folder for itself. Its hosts
// inherit the pipes, so what they hold open is waited for too.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("needs a carrier: Linux or Darwin")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"=1", "XDG_RUNTIME_DIR="+dir, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// run runs the program to its end.
func runProgram(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); !exited {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestBuiltInText(t *testing.T) {
	stdout, stderr, code := runProgram(t, nil)
	require.Zero(t, code, stderr)
	lines := strings.Split(builtIn, "\n")
	var want strings.Builder
	for _, prefix := range []string{"host: ", "secure host: "} {
		for _, l := range lines {
			want.WriteString(prefix + l + "\n")
		}
	}
	assert.Equal(t, want.String(), stdout)

	// Who hears whom, and by which key.
	for _, pattern := range []string{
		`(?m)^  plain host  pid \d+ hears pid \d+ uid \d+`,
		`(?m)^  secure host pid \d+ hears pid \d+ uid \d+.*\n +with the key [0-9a-f]{4}(-[0-9a-f]{4}){5}$`,
		`(?m)^  lines arrived +5 +5$`,
		`(?m)^  64-byte messages/s( +[\d,]+){2}$`,
		`(?m)^  question and answer( +[\d.]+ µs){2}$`,
	} {
		assert.Regexp(t, pattern, stderr)
	}
	assert.Less(t, strings.Count(stdout+stderr, "\n"), 40, "it should fit on one screen")
	for l := range strings.Lines(stderr) {
		assert.LessOrEqual(t, len([]rune(l)), 81+len(os.Args[0]), "%q", l)
	}
}

func TestEavesdropperReadsThePlainHostOnly(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs shared memory, which only Linux's carrier has")
	}
	const secret = "attack at dawn, by the old oak"
	_, stderr, code := runProgram(t, strings.NewReader("short\n"+secret+"\nshort\n"), "-")
	require.Zero(t, code, stderr)
	_, rest, ok := strings.Cut(stderr, "passes.\n  plain host  the line is there:\n")
	require.True(t, ok, stderr)
	plain, rest, ok := strings.Cut(rest, "  secure host the line is not there, but this:\n")
	require.True(t, ok, stderr)
	sealed, _, ok := strings.Cut(rest, "\n\n")
	require.True(t, ok, stderr)
	assert.Contains(t, characters(t, plain), secret)
	assert.NotContains(t, characters(t, sealed), "attack")
	// There is something, not an empty place.
	assert.Less(t, strings.Count(sealed, " 00"), 24, sealed)
}

// characters joins what is right of the bytes in an excerpt of three rows.
func characters(t *testing.T, excerpt string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^ +[0-9a-f]{6} ( [0-9a-f]{2}){16}  \|(.{16})\|$`).FindAllStringSubmatch(excerpt, -1)
	require.Len(t, found, rows, excerpt)
	var b strings.Builder
	for _, f := range found {
		b.WriteString(f[2])
	}
	return b.String()
}

// Each line is printed once and in order, whatever is in it, from a file and from
// standard input.
func TestLines(t *testing.T) {
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintln(&many, i+1)
	}
	for _, row := range []struct {
		name, input string
		lines       int
	}{
		{"nothing", "", 0},
		{"one line", "one\n", 1},
		{"last line without its end", "one\n\n  three", 3},
		{"only ends of lines", "\n\n\n", 3},
		{"carriage returns stay", "one\r\ntwo\r\n", 2},
		{"not UTF-8", "\xff\xfe\x00\n\x80", 2},
		{"what is in any memory", strings.Repeat("\x00", 100) + "\n" + strings.Repeat("\xff", 100), 2},
		{"looks like a host", "host: one\nsecure host: two\n", 2},
		{"a line of 1 MiB", "one\n" + strings.Repeat("0123456789abcde\t", 1<<16) + "\nthree\n", 3},
		{"100,000 lines", many.String(), 100_000},
	} {
		want := ""
		if row.input != "" {
			want = "host: " + strings.ReplaceAll(strings.TrimSuffix(row.input, "\n"), "\n", "\nhost: ") + "\n"
		}
		file := filepath.Join(t.TempDir(), "input")
		require.NoError(t, os.WriteFile(file, []byte(row.input), 0o600))
		for _, argument := range []string{file, "-"} {
			name := row.name + " in a file"
			var stdin io.Reader
			if argument == "-" {
				name, stdin = row.name+" on standard input", strings.NewReader(row.input)
			}
			t.Run(name, func(t *testing.T) {
				stdout, stderr, code := runProgram(t, stdin, argument)
				require.Zero(t, code, stderr)
				require.True(t, want == stdout, "%d bytes came, not the %d that should", len(stdout), len(want))
				n := thousands(float64(row.lines))
				assert.Regexp(t, `(?m)^  lines arrived +`+n+` +`+n+`$`, stderr)
			})
		}
	}
}

func TestBadInput(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		says string
	}{
		{"missing file", []string{filepath.Join(t.TempDir(), "none")}, "no such file"},
		{"a folder", []string{t.TempDir()}, "is a directory"},
		{"two files", []string{"one", "two"}, "usage: hello [FILE | -]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			stdout, stderr, code := runProgram(t, nil, row.args...)
			assert.Equal(t, 1, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, row.says)
		})
	}
}

// A line that never ends must not fill the memory.
func TestLineAboveTheLimit(t *testing.T) {
	endless := io.LimitReader(zeros{}, 4<<30)
	stdout, stderr, code := runProgram(t, io.MultiReader(strings.NewReader("one\n"), endless), "-")
	assert.Equal(t, 1, code)
	assert.Equal(t, "host: one\n", stdout)
	assert.Contains(t, stderr, "line 2: line too long")

}

func TestLineReader(t *testing.T) {
	const most = 100_000 // some times the buffer
	longest := strings.Repeat("x", most)
	lines := &lineReader{r: bufio.NewReader(strings.NewReader(longest + "\n\n" + longest)), max: most}
	for _, want := range []string{longest, "", longest} {
		got, err := lines.next()
		require.NoError(t, err)
		require.True(t, want == string(got))
	}
	_, err := lines.next()
	require.Equal(t, io.EOF, err)

	for _, end := range []string{"x\n", "x", strings.Repeat("x", 1000)} {
		lines = &lineReader{r: bufio.NewReader(strings.NewReader(longest + end)), max: most}
		_, err = lines.next()
		assert.ErrorIs(t, err, errLineTooLong)
	}
	broken := errors.New("broken")
	lines = &lineReader{r: bufio.NewReader(io.MultiReader(strings.NewReader("half a line"), iotest.ErrReader(broken))), max: most}
	_, err = lines.next()
	assert.ErrorIs(t, err, broken)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// conversation is the program with standard input still open.
type conversation struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bufio.Reader
}

func converse(t *testing.T) *conversation {
	t.Helper()
	c := &conversation{cmd: command(t, "-")}
	var err error
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := c.cmd.StderrPipe()
	require.NoError(t, err)
	c.stdout, c.stderr = bufio.NewReader(stdout), bufio.NewReader(stderr)
	require.NoError(t, c.cmd.Start())
	return c
}

// echo writes a line and waits until the host has printed it.
func (c *conversation) echo(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(c.stdin, text+"\n")
	require.NoError(t, err)
	got, err := c.stdout.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "host: "+text+"\n", got)
}

// hostPID returns a host's pid as it introduced itself.
func (c *conversation) hostPID(t *testing.T, name string) int {
	t.Helper()
	introduction := regexp.MustCompile(`^  ` + name + ` host +pid (\d+) hears `)
	for {
		l, err := c.stderr.ReadString('\n')
		require.NoError(t, err)
		if found := introduction.FindStringSubmatch(l); found != nil {
			pid, err := strconv.Atoi(found[1])
			require.NoError(t, err)
			return pid
		}
	}
}

func TestLineIsShownWhileInputGoesOn(t *testing.T) {
	c := converse(t)
	c.echo(t, "one")
	c.echo(t, "two")
	require.NoError(t, c.stdin.Close())
	rest, err := io.ReadAll(c.stdout)
	require.NoError(t, err)
	assert.Empty(t, rest)
	_, err = io.Copy(io.Discard, c.stderr)
	require.NoError(t, err)
	require.NoError(t, c.cmd.Wait())
}

// What is told of the lines must not be "all is well" if a host died.
func TestHostKilled(t *testing.T) {
	for _, name := range []string{"plain", "secure"} {
		t.Run(name, func(t *testing.T) {
			c := converse(t)
			c.echo(t, "one")
			host, err := os.FindProcess(c.hostPID(t, name))
			require.NoError(t, err)
			require.NoError(t, host.Kill())
			require.NoError(t, c.stdin.Close())
			stderr, err := io.ReadAll(c.stderr)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, c.stdout)
			require.Error(t, c.cmd.Wait())
			assert.Equal(t, 1, c.cmd.ProcessState.ExitCode())
			assert.Contains(t, string(stderr), "the "+name+" host's process: signal: killed")
		})
	}
}

// No host stays behind when its client is killed.
func TestClientKilled(t *testing.T) {
	c := converse(t)
	c.echo(t, "one")
	require.NoError(t, c.cmd.Process.Kill())
	// The hosts have standard error too: its end is theirs.
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c.stderr)
		ended <- err
	}()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(limit):
		require.FailNow(t, "a host is still there")
	}
	require.Error(t, c.cmd.Wait())
}

// sides are two plain ones, the second of which stands for one that should be
// secure and is not.
func sides(t *testing.T) (first, second *side) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv(roleVariable, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // inherited by the hosts
	var made []*side
	for _, name := range []string{"plain", "secure"} {
		s, err := newSide(t.Context(), part{Name: name, Endpoint: "com.example.test." + name + "." + strconv.Itoa(os.Getpid())}, keys.PrivateKey{}, func(error) {})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.close()) })
		made = append(made, s)
	}
	return made[0], made[1]
}

func TestSpyFindsWhatIsNotSealed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs shared memory, which only Linux's carrier has")
	}
	plain, open := sides(t)
	found, err := spy(t.Context(), "not sealed at all", plain, open)
	require.NoError(t, err)
	assert.ErrorIs(t, found, errGivenAway)

	err = talk(t.Context(), strings.NewReader("not sealed at all"), false, plain, open)
	assert.ErrorIs(t, err, errGivenAway)

	stranger := exec.Command("cat")
	stdin, err := stranger.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, stranger.Start())
	_, err = sharedMemory(stranger.Process.Pid)
	assert.ErrorIs(t, err, errNoSharedMemory)
	require.NoError(t, stdin.Close())
	require.NoError(t, stranger.Wait())
}

func TestDisagreementIsFound(t *testing.T) {
	s, _ := sides(t)
	_, err := sendLines(t.Context(), strings.NewReader("one\ntwo\n"), s)
	require.NoError(t, err)
	require.NoError(t, s.agree())

	for name, lines := range map[string][]string{
		"lost":         {"one"},
		"repeated":     {"one", "two", "two"},
		"another":      {"one", "three"},
		"swapped":      {"two", "one"},
		"split moved":  {"on", "etwo"},
		"another type": {"one", "two\n"},
	} {
		other := newTally()
		for _, l := range lines {
			other.add(l)
		}
		assert.ErrorIs(t, (&side{name: name, sent: s.sent, arrived: other.note()}).agree(), errDisagree, name)
	}
}

// All is well only if both hosts got everything.
func TestTalkComparesBothHosts(t *testing.T) {
	for _, row := range []struct {
		name   string
		tamper func(plain, sealed *side)
		want   error
	}{
		{"nothing missing", func(_, _ *side) {}, nil},
		{"plain", func(plain, _ *side) { plain.sent.add("lost") }, errDisagree},
		{"secure", func(_, sealed *side) { sealed.sent.add("lost") }, errDisagree},
	} {
		t.Run(row.name, func(t *testing.T) {
			plain, sealed := sides(t)
			row.tamper(plain, sealed)
			err := talk(t.Context(), strings.NewReader("one\ntwo\n"), false, plain, sealed)
			assert.ErrorIs(t, err, row.want)
		})
	}
}

func TestSampleOf(t *testing.T) {
	for line, want := range map[string]string{
		"":                            "",
		"short":                       "",
		"shorts":                      "shorts",
		"tab\tand more":               "",
		"before\ttab":                 "before",
		"before\xffinvalid":           "before",
		strings.Repeat("\x00", 100):   "",
		strings.Repeat("x", 1000):     strings.Repeat("x", maxSample),
		"x" + strings.Repeat("ü", 99): "x" + strings.Repeat("ü", (maxSample-1)/2),
	} {
		assert.Equal(t, want, sampleOf(line), "%.20q", line)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 12345678.6: "12,345,679"} {
		assert.Equal(t, want, thousands(n))
	}
}
