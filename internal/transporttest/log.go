package transporttest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// logBook is a slog.Handler that keeps what it is told.
type logBook struct {
	mu      sync.Mutex
	records []slog.Record
	arrived chan slog.Record // may be nil
}

func (b *logBook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logBook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logBook) WithGroup(string) slog.Handler            { return b }

func (b *logBook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	b.records = append(b.records, r)
	b.mu.Unlock()
	if b.arrived != nil {
		select {
		case b.arrived <- r:
		default:
		}
	}
	return nil
}

// text is a record in one line.
func text(r slog.Record) string {
	var s strings.Builder
	s.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		s.WriteString(" " + a.String())
		return true
	})
	return s.String()
}

// has reports whether there is a record with this message that contains part.
func (b *logBook) has(message, part string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.Message == message && strings.Contains(text(r), part) {
			return true
		}
	}
	return false
}

// all is everything that was logged.
func (b *logBook) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, r := range b.records {
		s.WriteString(text(r) + "\n")
	}
	return s.String()
}
