package transport

import (
	"context"
	"time"

	"github.com/sealport/sealport/internal/conn"
)

// Stats counts what a [Conn], [Client], [Session] or [Host] has carried since it was
// made. Bytes are those of encoded messages.
type Stats struct {
	SentMessages, SentBytes         uint64
	ReceivedMessages, ReceivedBytes uint64

	// Carrier is what carries the messages of a Conn or Session, or of a Client now:
	// "ring" (shared memory), "socket" (a Unix socket: Config.Attested, or the host
	// cannot make memory files), "mach" (Mach ports) or "memory" (both sides in one
	// process). It is empty for a Host, and for a Client without a connection.
	Carrier string

	// Of a Host and its sessions:
	Dropped uint64 // published messages that were not sent; see Host.Publish

	// Of a Host:
	Connections  int    // sessions now
	Accepted     uint64 // sessions begun
	Refused      uint64 // clients refused, for whatever reason but a failed handshake of package secure
	DecodeErrors uint64 // messages that could not be decoded
	Fallbacks    uint64 // clients that got a socket because this process cannot make memory files, which is logged once
}

func statsOf(of *conn.Conn) Stats {
	c := of.Counters()
	return Stats{
		Carrier:      of.Carrier(),
		SentMessages: c.SentMessages, SentBytes: c.SentBytes,
		ReceivedMessages: c.ReceivedMessages, ReceivedBytes: c.ReceivedBytes,
	}
}

// add adds what was carried, by whatever carrier.
func (s *Stats) add(o Stats) {
	s.SentMessages += o.SentMessages
	s.SentBytes += o.SentBytes
	s.ReceivedMessages += o.ReceivedMessages
	s.ReceivedBytes += o.ReceivedBytes
	s.Dropped += o.Dropped
}

// logThroughput logs each second in which something was received, until ctx
// ends.
func logThroughput(ctx context.Context, s *settings, endpoint string, stats func() Stats) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	// From zero: messages that arrive before this goroutine first runs count too.
	last, then := Stats{}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, at := stats(), time.Now()
		if n := now.ReceivedMessages - last.ReceivedMessages; n > 0 {
			seconds := at.Sub(then).Seconds()
			s.log.Info("throughput", "endpoint", endpoint,
				"messages_per_second", uint64(float64(n)/seconds),
				"bytes_per_second", uint64(float64(now.ReceivedBytes-last.ReceivedBytes)/seconds),
				"connections", now.Connections)
		}
		last, then = now, at
	}
}
