package transport_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/transport"
)

// infos is a slog.Handler that keeps the messages of level Info which name Shared.
type infos []string

func (l *infos) Enabled(context.Context, slog.Level) bool { return true }
func (l *infos) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *infos) WithGroup(string) slog.Handler            { return l }

func (l *infos) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelInfo && strings.Contains(r.Message, "Shared") {
		*l = append(*l, r.Message)
	}
	return nil
}

// A host that other users may connect to and that accepts none of them says so.
func TestHostThatOthersCannotUse(t *testing.T) {
	for name, row := range map[string]struct {
		shared bool
		peer   peer.Policy
		logs   int
	}{
		"default":              {false, nil, 0},
		"shared":               {true, nil, 1},
		"shared with a policy": {true, peer.UIDs(uint32(os.Geteuid()) + 1), 0},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, dir := transporttest.Place(t)
			transporttest.Open(dir)
			var logged infos
			l, err := transport.Listen(endpoint, &transport.Config{Dir: dir, Shared: row.shared, Peer: row.peer, Logger: slog.New(&logged)})
			require.NoError(t, err)
			require.NoError(t, l.Close())
			require.Len(t, logged, row.logs, "%v", logged)
		})
	}
}
