package fair

import "sync"

// Pending bounds how many clients a listener has that are not connections, in total and
// for each user. When one too many comes, another one has to go: one of its own user, if
// that has too many, or else one of the user that has the most. Of these it is one of the
// process that has the most: the oldest that is silent, or else the oldest. So a process
// that floods displaces itself. All methods may be called concurrently.
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
	silent  bool
	drop    func()
	moved   chan struct{} // closed when it is not silent any more
}

// NewPending returns a Pending for so many clients.
func NewPending(total, perUser int) *Pending { return &Pending{total: total, perUser: perUser} }

// Enter lets a client in that has said nothing yet. drop is called if it has to go; it
// must not block, and Leave is to be called all the same. Enter returns the silent client
// that had to go for this one, or nil.
func (p *Pending) Enter(who Process, drop func()) (c, dropped *Client) {
	c = &Client{place: place{who: who}, pending: p, silent: true, drop: drop, moved: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	return c, p.addLocked(c)
}

// addLocked adds c. It returns the silent client that had to go.
func (p *Pending) addLocked(c *Client) (dropped *Client) {
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
	most := from.largest()
	out := most.oldest()
	for m := range most.all() {
		if m.silent {
			out = m
			break
		}
	}
	p.clients.remove(out)
	out.drop()
	if !out.silent {
		return nil
	}
	return out
}

// Spoke is called when the client has said its hello; drop takes the place of Enter's. If
// it had to go meanwhile, it is in again: what it said had come in time.
func (c *Client) Spoke(drop func()) {
	p := c.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	c.silent, c.drop = false, drop
	close(c.moved)
	if c.elem == nil {
		p.addLocked(c)
	}
}

// Leave is called when the client is a connection, or has gone. Idempotent.
func (c *Client) Leave() {
	c.pending.mu.Lock()
	defer c.pending.mu.Unlock()
	c.pending.clients.remove(c)
	if c.silent {
		c.silent = false
		close(c.moved)
	}
}

// Moved is closed when the client has said its hello, or has gone.
func (c *Client) Moved() <-chan struct{} { return c.moved }

// MakeRoom is called when the process has no descriptor left. It has half of the silent
// clients of the user with the most clients go, and at least one if there is any: the
// oldest of each process. It returns them.
func (p *Pending) MakeRoom() (dropped []*Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.clients.largest(0)
	if most == nil {
		return nil
	}
	for _, process := range most.processes {
		var silent []*Client
		for c := range process.all() {
			if c.silent {
				silent = append(silent, c)
			}
		}
		for _, c := range silent[:(len(silent)+1)/2] {
			p.clients.remove(c)
			c.drop()
			dropped = append(dropped, c)
		}
	}
	return dropped
}
