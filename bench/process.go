package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// roleVariable holds the job of a process that this program has started.
const roleVariable = "SEALPORT_BENCH_JOB"

// job is what a process of a measurement does.
type job struct {
	Contender string
	Address   string
	Serve     bool
	Workload  workload
	Conns     int // of this process
	Duration  time.Duration
}

// A process prints a line when it is ready, waits for its standard input (a
// client for a line, a server for the end), and prints its result as JSON.

// result is a client's measurement, or what a server has received.
type result struct {
	measurement
	Received uint64
}

// runJob is the main function of a process of a measurement.
func runJob(text string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	c, err := find(j.Contender)
	if err != nil {
		return err
	}
	var r result
	if j.Serve {
		r.Received, err = runServer(c, j.Address, in, out)
	} else {
		r.measurement, err = runClients(c, j.Address, j.Workload, j.Conns, j.Duration, func() error {
			if _, err := fmt.Fprintln(out, "ready"); err != nil {
				return err
			}
			_, err := bufio.NewReader(in).ReadString('\n')
			return err
		})
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func runServer(c contender, address string, in io.Reader, out io.Writer) (received uint64, err error) {
	s, err := c.serve(address)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(out, "ready")
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	received, stopErr := s.stop()
	return received, errors.Join(err, stopErr)
}

func find(name string) (contender, error) {
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("no contender %q", name)
}

// process is a job that runs.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs a job and waits until it is ready.
func start(j job) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(fmt.Errorf("%s did not become ready: %q", j.Contender, line), err, p.kill())
	}
	return p, nil
}

func (p *process) kill() error {
	_ = p.cmd.Process.Kill()
	return p.cmd.Wait()
}

// finish ends the process's input and waits for its result.
func (p *process) finish() (r result, err error) {
	err = p.in.Close()
	err = errors.Join(err, json.NewDecoder(p.out).Decode(&r))
	return r, errors.Join(err, p.cmd.Wait())
}

// measure runs a workload once: a server, its clients, and a comparison of what
// was sent with what was received.
func measure(c contender, w workload, d time.Duration) (m measurement, err error) {
	dir, err := os.MkdirTemp("", "sealport-bench")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	j := job{Contender: c.name, Address: filepath.Join(dir, "bench"), Workload: w, Duration: d, Serve: true}
	server, err := start(j)
	if err != nil {
		return m, err
	}
	m, err = runProcesses(j, w)
	if err != nil {
		return m, errors.Join(err, server.kill())
	}
	r, err := server.finish()
	if err == nil {
		err = compare(c, w, m, r)
	}
	return m, err
}

var errLost = errors.New("messages were lost")

// compare compares what the clients sent with what the server received.
func compare(c contender, w workload, m measurement, r result) error {
	if r.Received != m.Sent {
		return fmt.Errorf("%w: %s, %s: %d sent, %d received", errLost, c.name, w.Name, m.Sent, r.Received)
	}
	return nil
}

// runProcesses runs the clients in their processes, all from the same moment.
func runProcesses(j job, w workload) (total measurement, err error) {
	j.Serve = false
	var clients []*process
	defer func() {
		if err != nil {
			for _, p := range clients {
				err = errors.Join(err, p.kill())
			}
		}
	}()
	for i := range w.processes() {
		j.Conns = share(w.Conns, w.processes(), i)
		p, err := start(j)
		if err != nil {
			return total, err
		}
		clients = append(clients, p)
	}
	for _, p := range clients {
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			return total, err
		}
	}
	for len(clients) > 0 {
		p := clients[0]
		clients = clients[1:]
		r, err := p.finish()
		if err != nil {
			return total, err
		}
		total.add(r.measurement)
	}
	return total, nil
}

// share is how many of total fall to the i-th of n.
func share(total, n, i int) int {
	return total*(i+1)/n - total*i/n
}
