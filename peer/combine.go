package peer

import (
	"context"
	"fmt"
	"strings"
)

// AllOf says yes if all policies do. It evaluates them in order and stops at the
// first that does not say yes, whose answer is its own: put the cheap and the
// strict ones first. Without any policies it refuses.
func AllOf(policies ...Policy) Policy { return all{list{"AllOf", clone(policies)}} }

// AnyOf says yes as soon as one of the policies does, and no if all say no: one that
// cannot be evaluated does not keep another from saying yes. Without any policies
// it refuses.
func AnyOf(policies ...Policy) Policy { return anyOf{list{"AnyOf", clone(policies)}} }

// Not says yes where p says no. Where p cannot be evaluated it can't either.
//
// Beware of what a process can rid itself of: a peer can leave its supplementary
// groups, so Not(Groups("guests")) keeps nobody out.
func Not(p Policy) Policy { return not{list{"Not", []Policy{p}}} }

type (
	all   struct{ list }
	anyOf struct{ list }
	not   struct{ list }
)

func (p all) judge(ctx context.Context, id *Identity) judgement {
	if err := p.defectHere(); err != nil {
		return undecided(err)
	}
	for _, m := range p.members {
		if j := m.judge(ctx, id); j.verdict != yes {
			return j
		}
	}
	return judgement{verdict: yes}
}

func (p anyOf) judge(ctx context.Context, id *Identity) judgement {
	if err := p.defectHere(); err != nil {
		return undecided(err)
	}
	best := no
	var reasons []error
	for _, m := range p.members {
		j := m.judge(ctx, id)
		if j.verdict == yes {
			return j
		}
		best = max(best, j.verdict)
		reasons = append(reasons, j.reason)
	}
	return judgement{best, alternatives(reasons)}
}

func (p not) judge(ctx context.Context, id *Identity) judgement {
	if err := p.defectHere(); err != nil {
		return undecided(err)
	}
	j := p.members[0].judge(ctx, id)
	switch j.verdict {
	case yes:
		return judgement{no, fmt.Errorf("%s: it holds", p)}
	case no:
		return judgement{verdict: yes}
	}
	return judgement{unknowable, fmt.Errorf("%s: %w", p, j.reason)}
}

// list is what combinators are made of.
type list struct {
	name    string
	members []Policy
}

func clone(policies []Policy) []Policy { return append([]Policy(nil), policies...) }

func (l list) String() string {
	names := make([]string, len(l.members))
	for i, m := range l.members {
		if names[i] = "nil"; m != nil {
			names[i] = m.String()
		}
	}
	return l.name + "(" + strings.Join(names, ", ") + ")"
}

func (l list) defect() error {
	if err := l.defectHere(); err != nil {
		return err
	}
	for _, m := range l.members {
		if err := m.defect(); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// defectHere leaves the members' own defects to their judgement.
func (l list) defectHere() error {
	if len(l.members) == 0 {
		return fmt.Errorf("%s without members: %w", l.name, ErrPolicy)
	}
	for _, m := range l.members {
		if m == nil {
			return fmt.Errorf("%s of nil: %w", l.name, ErrPolicy)
		}
	}
	return nil
}

// alternatives is several reasons on one line.
type alternatives []error

func (a alternatives) Error() string {
	texts := make([]string, len(a))
	for i, err := range a {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap makes each reason findable by errors.Is and As.
func (a alternatives) Unwrap() []error { return a }
