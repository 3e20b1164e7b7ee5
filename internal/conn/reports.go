package conn

import (
	"sync"
	"time"

	"github.com/sealport/sealport/peer"
)

// Limits of the reports on clients that did not become connections, so that those who are
// refused cannot fill a disk with them.
const (
	reportBurst    = 8                // of a user, reported one by one
	reportInterval = 10 * time.Second // between two reports on how many more there were
	reportUsers    = 64               // that are counted one by one
)

// reports passes on the first reportBurst reports of each user, and after that one for
// each reportInterval, with the number of those that were left out. A user of whom nothing
// came for reportInterval begins anew.
type reports struct {
	to func(*peer.Identity, error) // may be nil

	ticking sync.Mutex // held while reports on many are passed on

	mu     sync.Mutex
	ended  bool
	users  map[uint32]*userReports
	others userReports // of users beyond reportUsers
	timer  *time.Timer // calls tick; nil: nothing is counted
}

// userReports are those of one user.
type userReports struct {
	passed  int    // one by one
	omitted uint64 // since the last that was passed on
	last    error  // of the omitted
	quiet   bool   // none since the last tick
}

// now passes a report on.
func (r *reports) now(id *peer.Identity, err error) {
	if r.to != nil {
		r.to(id, err)
	}
}

// add passes the report on a client of a user on, or counts it.
func (r *reports) add(uid uint32, id *peer.Identity, err error) {
	if r.to != nil && r.passes(uid, err) {
		r.to(id, err)
	}
}

// passes counts a report. It returns true if it is to be passed on by itself.
func (r *reports) passes(uid uint32, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return true // there are no new clients, only those that were being set up
	}
	if r.timer == nil {
		r.users = make(map[uint32]*userReports)
		r.timer = time.AfterFunc(reportInterval, r.tick)
	}
	u := r.users[uid]
	if u == nil && len(r.users) < reportUsers {
		u = &userReports{}
		r.users[uid] = u
	}
	if u == nil {
		u = &r.others
	}
	u.quiet = false
	if u.passed < reportBurst {
		u.passed++
		return true
	}
	u.omitted++
	u.last = err
	return false
}

// tick reports on those that were left out since the last time.
func (r *reports) tick() {
	r.ticking.Lock()
	defer r.ticking.Unlock()
	for _, err := range r.collect() {
		r.to(nil, err)
	}
}

// collect returns what is to be reported on each user, and forgets those who are quiet.
func (r *reports) collect() (list []*OmittedError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for uid, u := range r.users {
		if e := u.collect(); e != nil {
			e.UID = uid
			list = append(list, e)
		} else if u.quiet {
			delete(r.users, uid)
		}
		u.quiet = true
	}
	if e := r.others.collect(); e != nil {
		e.Others = true
		list = append(list, e)
	} else if r.others.quiet {
		r.others = userReports{}
	}
	r.others.quiet = true
	switch {
	case r.ended:
	case len(r.users) == 0 && r.others.passed == 0:
		r.timer = nil
	default:
		r.timer.Reset(reportInterval)
	}
	return list
}

// collect returns how many were left out, or nil.
func (u *userReports) collect() *OmittedError {
	if u.omitted == 0 {
		return nil
	}
	e := &OmittedError{Count: u.omitted, Err: u.last}
	u.omitted, u.last = 0, nil
	return e
}

// end reports on those that were left out, and counts no more. It waits for a report that
// is being passed on.
func (r *reports) end() {
	r.mu.Lock()
	r.ended = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.tick()
}

// ReportRefused reports that the application has refused a client, as other clients are
// reported that do not become connections: see Config.Report.
func (l *Listener) ReportRefused(id *peer.Identity, err error) {
	l.reports.add(id.Token().EUID(), id, err)
}
