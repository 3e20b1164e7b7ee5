package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// write prints the table: medians, and in brackets how many times as good as the
// hand-written stream.
func (t *table) write(out io.Writer) error {
	base := slices.IndexFunc(t.peers, func(c contender) bool { return c.name == handWritten })
	lines := [][]string{{"", "unit"}}
	for _, c := range t.peers {
		lines[0] = append(lines[0], c.name)
	}
	for i, w := range t.rows {
		line := []string{w.Name, string(w.Unit)}
		for j, values := range t.cells[i] {
			text := number(median(values))
			if base >= 0 && j != base {
				if r := ratio(values, t.cells[i][base], w.Unit.fewer()); !math.IsNaN(r) {
					text += fmt.Sprintf(" (%s×)", number(r))
				}
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	return writeColumns(out, lines)
}

// writeColumns prints lines as a Markdown table with aligned columns.
func writeColumns(out io.Writer, lines [][]string) error {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, text := range line {
			widths[i] = max(widths[i], len([]rune(text)))
		}
	}
	for n, line := range lines {
		var b strings.Builder
		for i, text := range line {
			pad := strings.Repeat(" ", widths[i]-len([]rune(text)))
			if i < 2 {
				b.WriteString("| " + text + pad + " ")
			} else {
				b.WriteString("| " + pad + text + " ")
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for i, width := range widths {
				dashes := strings.Repeat("-", width+1)
				if i < 2 {
					b.WriteString("|" + dashes + "-")
				} else {
					b.WriteString("|" + dashes + ":")
				}
			}
			b.WriteString("|\n")
		}
		if _, err := io.WriteString(out, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// number prints three significant digits, or all before the point, with
// thousands separated; "–" for NaN.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a < 9.995:
		return fmt.Sprintf("%.2f", v)
	case a < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
