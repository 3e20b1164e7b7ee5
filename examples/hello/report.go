package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// The layout of what is printed besides the lines.
const (
	label  = "  %-12s" // which host a line is about
	column = "              "
	table  = "  %-24s%15s%15s"
)

// reportLines prints how many lines were sent and arrived, and how fast.
func reportLines(plain, sealed *side) {
	heading(plain, sealed)
	reportCounts(plain, sealed)
	say(table, "lines sent per second", perSecond(plain), perSecond(sealed))
}

// reportSpeed is reportLines for the built-in text, which is short: it measures with other messages.
func reportSpeed(ctx context.Context, plain, sealed *side) error {
	var rates, trips [2]string
	for i, s := range []*side{plain, sealed} {
		rate, err := s.rate(ctx)
		if err != nil {
			return err
		}
		trip, err := s.trip(ctx)
		if err != nil {
			return err
		}
		rates[i], trips[i] = thousands(rate), fmt.Sprintf("%.1f µs", float64(trip)/float64(time.Microsecond))
	}
	heading(plain, sealed)
	reportCounts(plain, sealed)
	say(table, "64-byte messages/s", rates[0], rates[1])
	say(table, "question and answer", trips[0], trips[1])
	say("\n  One short run: other programs on this machine change the result a lot.")
	return nil
}

func heading(plain, sealed *side) {
	say("")
	say(table, "", plain.name, sealed.name)
}

func reportCounts(plain, sealed *side) {
	say(table, "lines sent", thousands(float64(plain.sent.lines)), thousands(float64(sealed.sent.lines)))
	say(table, "lines arrived", thousands(float64(plain.arrived.number)), thousands(float64(sealed.arrived.number)))
}

// perSecond is the rate at which a side sent lines while the other side waited.
func perSecond(s *side) string {
	if s.sent.lines == 0 {
		return "-"
	}
	return thousands(float64(s.sent.lines) / s.took.Seconds())
}

// thousands prints a number without its fraction, and with the thousands
// separated.
func thousands(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
