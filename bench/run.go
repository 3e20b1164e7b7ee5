package main

import (
	"fmt"
	"io"
	"regexp"
	"time"
)

// options are the flags.
type options struct {
	rows, peers *regexp.Regexp
	duration    time.Duration
	repetitions int
	progress    io.Writer
}

// cell is what was measured of one contender on one row, a number for each turn.
type cell []float64

// table is the result: cells by row and contender, nil where it does not fit.
type table struct {
	rows  []workload
	peers []contender
	cells [][]cell
}

// run measures what the options select of some workloads. Within a row the
// contenders take turns.
func run(all []workload, o options) (*table, error) {
	t := &table{}
	for _, c := range contenders() {
		if o.peers.MatchString(c.name) {
			t.peers = append(t.peers, c)
		}
	}
	for _, w := range all {
		if o.rows.MatchString(w.Name) {
			t.rows = append(t.rows, w)
		}
	}
	if len(t.rows) == 0 || len(t.peers) == 0 {
		return nil, fmt.Errorf("nothing matches -rows %q and -peers %q", o.rows, o.peers)
	}
	for _, w := range t.rows {
		cells := make([]cell, len(t.peers))
		t.cells = append(t.cells, cells)
		for turn := range o.repetitions {
			for i, c := range t.peers {
				if !w.fits(c) {
					continue
				}
				fmt.Fprintf(o.progress, "%s: %s, %d of %d\n", w.Name, c.name, turn+1, o.repetitions)
				m, err := measure(c, w, o.duration)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", w.Name, c.name, err)
				}
				cells[i] = append(cells[i], m.in(w.Unit))
			}
		}
	}
	return t, nil
}
