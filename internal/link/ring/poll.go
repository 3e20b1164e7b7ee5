package ring

import (
	"runtime"
	"sync/atomic"
	"time"
)

// DefaultPollThreshold is the rate in frames per second from which a reader
// polls longer; MachIPC's default.
const DefaultPollThreshold = 200_000

// How long a reader polls before it sleeps. Waking it across cores costs some 30
// to 60 µs, so that polling about as long costs at most twice what the best
// choice would have.
const (
	pollNormal = 50 * time.Microsecond
	pollHigh   = 200 * time.Microsecond

	// probeEvery: of so many waits for which polling does not pay, one polls
	// anyway. Two sides that both sleep see only each other's wake-ups;
	// this is how they find out that the peer could answer at once.
	probeEvery = 16

	clockEvery  = 32 // looks between two readings of the clock (37 ns)
	lookPauses  = 4  // PAUSEs between two looks
	writerLooks = 200

	// For a peer in the same process: how long a side that waits yields its
	// processor before it sleeps, and yields between two readings of the clock.
	localPoll  = 20 * time.Microsecond
	localClock = 4

	// The most yields, many times what fits into localPoll, in case the clock stands
	// still, as it does in a testing/synctest bubble while a goroutine can run.
	localYields = 4096

	// rateWindow is how long the rate is measured before it is compared with the threshold.
	rateWindow = 2 * time.Millisecond
)

// In a stream, a reader that looks again at once gets each frame by itself and
// takes the cache line away from the writer each time; so it leaves growing gaps.
const (
	gapFirst   = 4       // PAUSEs
	gapMost    = 512     // PAUSEs, some 10 to 20 µs
	gapTarget  = 4 << 10 // bytes at a look with which it is content
	gapDensity = 16      // at least a frame in so many PAUSEs is a stream
)

// spinners counts the readers that poll in this process: each of them holds a P.
var spinners atomic.Int32

// poller decides how a reader waits: when it leaves gaps and how long it polls.
// It belongs to the reader's goroutine.
type poller struct {
	threshold int
	local     bool // the peer is in this process

	gap    uint32 // PAUSEs before the next look
	waited uint64 // PAUSEs before the last batch
	bytes  int    // of the last batch
	frames uint64 // handed out before the last batch
	sent   uint64 // bytes written by this side before the last batch

	typical time.Duration // running mean of how long the peer lets us wait
	skipped int           // waits without polling
	high    bool          // the rate is above the threshold
	since   time.Time     // when the measurement of the rate began
	counted uint64        // frames at that time
}

func newPoller(threshold int) poller {
	if threshold == 0 {
		threshold = DefaultPollThreshold
	}
	if runtime.NumCPU() == 1 {
		threshold = -1 // the peer can't run while we poll
	}
	return poller{threshold: threshold}
}

// localPoller is for a peer in this process.
func localPoller() poller { return poller{threshold: DefaultPollThreshold, local: true} }

// beforeLook is called before each look at the ring, with the frames handed out
// and the bytes written by this side so far. In a stream it lets a batch build
// up.
func (p *poller) beforeLook(frames, sent uint64) {
	if p.local {
		p.frames = frames
		return
	}
	batch := frames - p.frames
	if batch == 0 {
		return // still waiting for the first
	}
	switch {
	case sent != p.sent || p.threshold < 0:
		p.gap = 0 // request and answer: look eagerly
	case batch*gapDensity < p.waited || p.bytes > 2*gapTarget:
		p.gap /= 2
	case p.bytes < gapTarget:
		p.gap = min(max(2*p.gap, gapFirst), gapMost)
	}
	p.frames, p.sent, p.waited, p.bytes = frames, sent, uint64(p.gap), 0
	if p.gap > 0 {
		Pause(p.gap)
	}
}

// looked is called after each look with the bytes found.
func (p *poller) looked(n int) { p.bytes += n }

// spin looks for data for as long as that is worth it, and returns true if there
// is some or the Link's state has changed. The time returned is when the wait
// began.
func (p *poller) spin(in *Consumer, state *atomic.Uint32) (start time.Time, found bool) {
	if p.threshold < 0 {
		return time.Time{}, false
	}
	if p.local {
		before := state.Load()
		return start, yieldUntil(func() bool { return !in.Empty() || state.Load() != before })
	}
	limit := int32(max(1, runtime.GOMAXPROCS(0)-1))
	if spinners.Add(1) > limit {
		spinners.Add(-1)
		return time.Time{}, false
	}
	defer spinners.Add(-1)

	before := state.Load()
	var end time.Time
	for i := 1; ; i++ {
		Pause(lookPauses)
		p.waited += lookPauses
		if !in.Empty() || state.Load() != before {
			break
		}
		if i%clockEvery != 0 {
			continue
		}
		runtime.Gosched() // goroutines that are ready go first
		now := time.Now()
		if start.IsZero() {
			start = now
			worth := p.worth(now)
			if worth == 0 {
				return start, false
			}
			end = now.Add(worth)
		} else if now.After(end) {
			return start, false
		}
	}
	if start.IsZero() {
		p.typical -= p.typical / 4
	} else {
		p.typical = time.Since(start) // it may be a probe: believe it at once
	}
	return start, true
}

// yieldUntil yields the processor again and again, since a peer in the same process
// may wait for just this one. It returns true as soon as done does, false after about
// localPoll, or a few turns of the other goroutines if those are longer.
func yieldUntil(done func() bool) bool {
	var end time.Time
	for i := 1; i <= localYields; i++ {
		if done() {
			return true
		}
		if i%localClock == 0 {
			now := time.Now()
			if end.IsZero() {
				end = now.Add(localPoll)
			} else if now.After(end) {
				return false
			}
		}
		Pause(lookPauses)
		runtime.Gosched()
	}
	return false
}

// worth returns how long to poll, 0 for not at all.
func (p *poller) worth(now time.Time) time.Duration {
	if since := now.Sub(p.since); since >= rateWindow {
		rate := float64(p.frames-p.counted) / since.Seconds()
		p.high = rate >= float64(p.threshold)
		p.since, p.counted = now, p.frames
	}
	most := pollNormal
	if p.high {
		most = pollHigh
	}
	if p.typical > most {
		if p.skipped++; p.skipped%probeEvery != 0 {
			return 0
		}
	}
	return most
}

// slept is called after a sleep, with what spin returned.
func (p *poller) slept(start time.Time) {
	if start.IsZero() {
		return
	}
	wait := min(time.Since(start), 4*pollHigh)
	p.typical += (wait - p.typical) / 4
}
