package fair

import "sync"

// Pending bounds how many clients a listener has that are not connections, in total and
// for each user. When one too many comes, another one has to go: one of its own user, if
// that has too many, or else one of the user that has the most. Of these it is one of the
// process that has the most: the oldest that is silent, or else the newest that waits. So
// a process that floods displaces itself. All methods may be called concurrently.
type Pending struct {
	total, perUser int

	mu      sync.Mutex
	seq     uint64
	clients crowd[*Client]
}

// Client is one of a Pending.
type Client struct {
	place
	pending *Pending
	state   state
	drop    func()
	moved   chan struct{} // closed when it has said its hello, and when it has gone
}

// state is what a client does.
type state int

const (
	silent  state = iota // it has said nothing yet
	waiting              // for its turn
	served               // it is not dropped: that may take long
	gone
)

// NewPending returns a Pending for so many clients.
func NewPending(total, perUser int) *Pending { return &Pending{total: total, perUser: perUser} }

// Enter lets a client in that has said nothing yet. drop is called if it has to go; it
// must not block, and Leave is to be called all the same. If another client has to go for
// this one, moved is closed when that one has gone or turned out to have said its hello.
func (p *Pending) Enter(who Process, drop func()) (c *Client, moved <-chan struct{}) {
	c = &Client{place: place{who: who}, pending: p, drop: drop, moved: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	return c, p.addLocked(c)
}

// addLocked adds c. See Enter.
func (p *Pending) addLocked(c *Client) (moved <-chan struct{}) {
	p.seq++
	c.seq = p.seq
	p.clients.add(c)
	var from *user[*Client]
	switch {
	case p.clients.of(c.who.UID) > p.perUser:
		from = p.clients.users[c.who.UID]
	case p.clients.n > p.total:
		from = p.clients.largest(c.who.UID)
	default:
		return nil
	}
	out := c // unless there is another one; c is not served
	for m := range from.largest().all() {
		if m.state == silent {
			out = m
			break
		}
		if m.state == waiting {
			out = m
		}
	}
	p.clients.remove(out)
	out.drop()
	return out.moved
}

// Spoke is called when the client has said its hello; drop takes the place of Enter's. If
// it had to go meanwhile, it is in again: what it said had come in time.
func (c *Client) Spoke(drop func()) {
	p := c.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	close(c.moved)
	c.state, c.drop, c.moved = waiting, drop, make(chan struct{})
	if c.elem == nil {
		p.addLocked(c)
	}
}

// Serve is called when the client, which has said its hello, does not wait any more, and
// when it does again.
func (c *Client) Serve(on bool) {
	c.pending.mu.Lock()
	defer c.pending.mu.Unlock()
	c.state = waiting
	if on {
		c.state = served
	}
}

// Leave is called when the client is a connection, or has gone. Idempotent.
func (c *Client) Leave() {
	c.pending.mu.Lock()
	defer c.pending.mu.Unlock()
	c.pending.clients.remove(c)
	if c.state != gone {
		c.state = gone
		close(c.moved)
	}
}

// MakeRoom is called when the process has no descriptor left. It has half of the silent
// clients of the user with the most clients go, and at least one if there is any: the
// oldest of each process. See Enter for what it returns.
func (p *Pending) MakeRoom() (moved []<-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.clients.largest(0)
	if most == nil {
		return nil
	}
	for _, process := range most.processes {
		var quiet []*Client
		for c := range process.all() {
			if c.state == silent {
				quiet = append(quiet, c)
			}
		}
		for _, c := range quiet[:(len(quiet)+1)/2] {
			p.clients.remove(c)
			c.drop()
			moved = append(moved, c.moved)
		}
	}
	return moved
}
