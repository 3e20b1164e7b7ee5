package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// runClients does the clients' part of a workload in this process: it connects,
// calls ready, waits for go, and measures.
func runClients(c contender, address string, w workload, conns int, d time.Duration, ready func() error) (measurement, error) {
	if w.Kind == connect {
		if err := ready(); err != nil {
			return measurement{}, err
		}
		return connectAgain(c, address, w, d)
	}
	open := make([]conn, conns)
	for i := range open {
		var err error
		if open[i], err = c.dial(address); err != nil {
			return measurement{}, err
		}
		// The server has accepted, both have warmed up.
		if err := roundTrip(open[i], make([]byte, w.Size)); err != nil {
			return measurement{}, err
		}
	}
	if err := ready(); err != nil {
		return measurement{}, err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total measurement
		fails error
	)
	for _, conn := range open {
		wg.Go(func() {
			m, err := w.run(conn, d)
			m.Sent++ // to warm up
			err = errors.Join(err, conn.close())
			mu.Lock()
			defer mu.Unlock()
			total.add(m)
			fails = errors.Join(fails, err)
		})
	}
	wg.Wait()
	return total, fails
}

// run measures on one connection.
func (w workload) run(c conn, d time.Duration) (measurement, error) {
	if w.Kind == trips {
		return w.runTrips(c, d)
	}
	return w.runOneWay(c, d)
}

// clockEvery is after how many bytes the clock is read.
const clockEvery = 64 << 10

// runOneWay sends, and asks in the end: the answer says that everything before
// has arrived.
func (w workload) runOneWay(c conn, d time.Duration) (m measurement, err error) {
	p := make([]byte, w.Size)
	step := w.Count
	if step == 0 {
		step = max(1, clockEvery/w.Size)
	}
	begin := time.Now()
	for {
		for range step {
			p[0] = drop
			if err := c.send(p); err != nil {
				return m, err
			}
		}
		m.Messages += uint64(step)
		if w.Count > 0 || time.Since(begin) >= d {
			break
		}
	}
	err = roundTrip(c, make([]byte, w.Size))
	m.Elapsed = time.Since(begin)
	m.Bytes = m.Messages * uint64(w.Size)
	m.Sent = m.Messages + 1
	return m, err
}

// runTrips asks and waits, again and again.
func (w workload) runTrips(c conn, d time.Duration) (m measurement, err error) {
	p := make([]byte, w.Size)
	var each []time.Duration
	begin := time.Now()
	for last := begin; ; {
		if err := roundTrip(c, p); err != nil {
			return m, err
		}
		now := time.Now()
		each = append(each, now.Sub(last))
		last = now
		if w.Count > 0 && len(each) == w.Count || w.Count == 0 && now.Sub(begin) >= d {
			break
		}
	}
	m.Elapsed = time.Since(begin)
	m.Messages = uint64(len(each))
	m.Bytes = m.Messages * uint64(w.Size)
	m.Sent = m.Messages
	slices.Sort(each)
	m.Median = each[len(each)/2]
	return m, nil
}

// connectAgain connects, asks once so that the connection is complete on both
// sides, and closes, again and again.
func connectAgain(c contender, address string, w workload, d time.Duration) (m measurement, err error) {
	p := make([]byte, w.Size)
	begin := time.Now()
	for time.Since(begin) < d {
		conn, err := c.dial(address)
		if err != nil {
			return m, err
		}
		if err := errors.Join(roundTrip(conn, p), conn.close()); err != nil {
			return m, err
		}
		m.Messages++
	}
	m.Elapsed = time.Since(begin)
	m.Sent = m.Messages
	return m, nil
}

func sameSize(p, answer []byte) error {
	if len(p) != len(answer) {
		return fmt.Errorf("answer of %d bytes to %d", len(answer), len(p))
	}
	return nil
}
