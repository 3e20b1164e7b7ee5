package fair

import (
	"container/list"
	"iter"
)

// crowd is a set of members by user and process, each process's in the order in which
// they came. Its owner's mutex guards it.
type crowd[M member] struct {
	n     int
	users map[uint32]*user[M]
}

type user[M member] struct {
	uid       uint32
	n         int
	processes map[uint32]*process[M]
}

type process[M member] struct {
	pid     uint32
	members list.List // of M
}

// member is one of a crowd: it embeds place.
type member interface{ at() *place }

// place is where a member is.
type place struct {
	who  Process
	seq  uint64        // in order of arrival
	elem *list.Element // in its process's list; nil: in no crowd
}

func (p *place) at() *place { return p }

// add adds m as the newest of its process.
func (c *crowd[M]) add(m M) {
	at := m.at()
	if c.users == nil {
		c.users = make(map[uint32]*user[M])
	}
	u := c.users[at.who.UID]
	if u == nil {
		u = &user[M]{uid: at.who.UID, processes: make(map[uint32]*process[M])}
		c.users[u.uid] = u
	}
	p := u.processes[at.who.PID]
	if p == nil {
		p = &process[M]{pid: at.who.PID}
		u.processes[p.pid] = p
	}
	at.elem = p.members.PushBack(m)
	u.n++
	c.n++
}

// remove removes m, if it is there.
func (c *crowd[M]) remove(m M) {
	at := m.at()
	if at.elem == nil {
		return
	}
	u := c.users[at.who.UID]
	p := u.processes[at.who.PID]
	p.members.Remove(at.elem)
	at.elem = nil
	if p.members.Len() == 0 {
		delete(u.processes, p.pid)
	}
	if u.n--; u.n == 0 {
		delete(c.users, u.uid)
	}
	c.n--
}

// of is how many members a user has.
func (c *crowd[M]) of(uid uint32) int {
	if u := c.users[uid]; u != nil {
		return u.n
	}
	return 0
}

// ofProcess is how many members a process has.
func (c *crowd[M]) ofProcess(who Process) int {
	if u := c.users[who.UID]; u != nil {
		if p := u.processes[who.PID]; p != nil {
			return p.members.Len()
		}
	}
	return 0
}

// largest is the user with the most members, or nil: of several this one, if it is one of
// them.
func (c *crowd[M]) largest(uid uint32) *user[M] {
	most := c.users[uid]
	for _, u := range c.users {
		if most == nil || u.n > most.n {
			most = u
		}
	}
	return most
}

// largest is the process with the most members; of several, the one with the oldest.
func (u *user[M]) largest() (most *process[M]) {
	for _, p := range u.processes {
		if most == nil || p.members.Len() > most.members.Len() ||
			p.members.Len() == most.members.Len() && p.oldest().at().seq < most.oldest().at().seq {
			most = p
		}
	}
	return most
}

func (p *process[M]) oldest() M { return p.members.Front().Value.(M) }

// all are the members, the oldest first.
func (p *process[M]) all() iter.Seq[M] {
	return func(yield func(M) bool) {
		for e := p.members.Front(); e != nil && yield(e.Value.(M)); e = e.Next() {
		}
	}
}
