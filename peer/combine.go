package peer

import (
	"context"
	"fmt"
	"strings"
)

// AllOf accepts a peer that all policies accept. It evaluates them in order and stops
// at the first that does not accept, whose answer it returns: put cheap and strict ones
// first. Without policies it refuses.
func AllOf(policies ...Policy) Policy { return all{list{"AllOf", clone(policies)}} }

// AnyOf accepts a peer that one of the policies accepts, even if others cannot be
// evaluated. It evaluates them in order and stops at the first that accepts. It
// refuses, so that [Not] of it accepts, only if all do. Without policies it refuses.
func AnyOf(policies ...Policy) Policy { return anyOf{list{"AnyOf", clone(policies)}} }

// Not accepts a peer that p refuses. Where p cannot be evaluated, neither can Not.
//
// It does not protect against what a process can give up: a peer can leave its
// supplementary groups, so Not(Groups("guests")) keeps no peer out.
func Not(p Policy) Policy { return not{list{"Not", []Policy{p}}} }

type (
	all   struct{ list }
	anyOf struct{ list }
	not   struct{ list }
)

func (p all) evaluate(ctx context.Context, id *Identity) result {
	if err := p.defectHere(); err != nil {
		return undecided(err)
	}
	for _, m := range p.members {
		if r := m.evaluate(ctx, id); r.verdict != accepts {
			return r
		}
	}
	return accepted
}

func (p anyOf) evaluate(ctx context.Context, id *Identity) result {
	if err := p.defectHere(); err != nil {
		return undecided(err)
	}
	best := refuses
	var reasons []error
	for _, m := range p.members {
		r := m.evaluate(ctx, id)
		if r.verdict == accepts {
			return r
		}
		best = max(best, r.verdict)
		reasons = append(reasons, r.reason)
	}
	return result{best, alternatives(reasons)}
}

func (p not) evaluate(ctx context.Context, id *Identity) result {
	if err := p.defectHere(); err != nil {
		return undecided(err)
	}
	r := p.members[0].evaluate(ctx, id)
	switch r.verdict {
	case accepts:
		return result{refuses, fmt.Errorf("%s: the rule holds", p)}
	case refuses:
		return accepted
	}
	return result{unknowable, fmt.Errorf("%s: %w", p, r.reason)}
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
			return err // it names its rule
		}
	}
	return nil
}

// defectHere leaves the members' own defects to their evaluation.
func (l list) defectHere() error {
	if len(l.members) == 0 {
		return fmt.Errorf("%w: %s without members", ErrPolicy, l.name)
	}
	for _, m := range l.members {
		if m == nil {
			return fmt.Errorf("%w: %s of nil", ErrPolicy, l.name)
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
