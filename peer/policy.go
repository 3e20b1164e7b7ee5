package peer

import (
	"context"
	"errors"
	"fmt"
)

// Policy is a rule about identities. Policies are made by the functions of this
// package, combined by AllOf, AnyOf and Not, and extended by Func. They may be
// used concurrently and for any number of checks.
//
// A policy says yes, says no, or cannot be evaluated: on this system or kernel,
// with our rights, or about this peer. Only yes lets a peer in, and Not turns
// only no into yes.
type Policy interface {
	// String is the rule as it is written, such as
	// AllOf(SameUser, Executable("/usr/bin/x")).
	String() string

	// judge must not be called with a nil Identity.
	judge(ctx context.Context, id *Identity) judgement

	// defect tells why the rule can never be evaluated, or nil.
	defect() error
}

// verdict orders the answers: the worst of several is the smallest.
type verdict int8

const (
	no verdict = iota
	unknowable
	yes
)

// judgement is a verdict and, unless it is yes, why.
type judgement struct {
	verdict verdict
	reason  error
}

// ErrPolicy means that a policy is made wrongly: a list without members, a
// relative path, a nil policy. Such a policy refuses everybody.
var ErrPolicy = errors.New("unusable policy")

// Default is the policy where none is chosen: AnyOf(SameUser, Root).
func Default() Policy { return AnyOf(SameUser(), Root()) }

// Validate returns an error that answers errors.Is(err, ErrPolicy) if some part
// of p can never be evaluated. nil stands for Default.
func Validate(p Policy) error {
	if p == nil {
		return nil
	}
	if err := p.defect(); err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	return nil
}

// Check returns nil if p lets the peer in, else a *RefusedError. nil for p
// stands for Default; nil for id is refused.
//
// It captures the peer's executable where that can be read (see
// Identity.Recheck), judges, and lets nobody in who has exited or taken other ids
// since the identity was made. It may be repeated: what can change is looked at again. It
// blocks as long as p's rules do, of which ExecutableDigest, CodeRequirement,
// Users, Groups and Func may take long; all but Users and Groups obey ctx.
func Check(ctx context.Context, p Policy, id *Identity) error {
	if p == nil {
		p = Default()
	}
	if id == nil {
		return &RefusedError{Rule: p.String(), Reason: ErrNoIdentity}
	}
	refuse := func(reason error) error {
		return &RefusedError{Rule: p.String(), Token: id.token, Reason: reason}
	}
	if err := ctx.Err(); err != nil {
		return refuse(err)
	}
	// Rules about programs judge this look, and say why it failed if it did.
	id.look()
	if j := p.judge(ctx, id); j.verdict != yes {
		return refuse(j.reason)
	}
	// Where nothing can tell (no pidfd) the connection's end must do.
	if err := id.same(); err != nil && !errors.Is(err, errBlind) {
		return refuse(err)
	}
	return nil
}

// RefusedError says which policy refused whom. It answers errors.Is for
// ErrRefused and for what its Reason wraps: ErrGone, ErrUnavailable,
// ErrNoIdentity, ErrPolicy, the context's error. It is for our own log: the
// peer is only told that it was refused.
type RefusedError struct {
	Rule   string // the whole policy
	Token  Token  // zero without an identity
	Reason error  // which part of it refused, and why
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v by %s: %v [%v]", ErrRefused, e.Rule, e.Reason, e.Token)
}

// Unwrap returns ErrRefused and the reason.
func (e *RefusedError) Unwrap() []error { return []error{ErrRefused, e.Reason} }

// errNothing is the defect of a rule with an empty list.
var errNothing = errors.New("nothing to compare with")

// rule is a Policy that looks at one thing.
type rule struct {
	name  string
	check func(ctx context.Context, id *Identity) judgement
	bad   error // why check must not be called
}

func (r rule) String() string { return r.name }

func (r rule) defect() error {
	if r.bad == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", r.name, r.bad)
}

func (r rule) judge(ctx context.Context, id *Identity) judgement {
	j := judgement{unknowable, ctx.Err()}
	switch {
	case r.bad != nil:
		j.reason = fmt.Errorf("%w: %w", ErrPolicy, r.bad)
	case j.reason == nil:
		j = r.check(ctx, id)
	}
	if j.verdict == yes {
		return judgement{verdict: yes}
	}
	return judgement{j.verdict, fmt.Errorf("%s: %w", r.name, j.reason)}
}

// decide is the judgement of a rule that could be evaluated.
func decide(allowed bool, format string, args ...any) judgement {
	if allowed {
		return judgement{verdict: yes}
	}
	return judgement{no, fmt.Errorf(format, args...)}
}

// undecided is the judgement of a rule that could not.
func undecided(err error) judgement { return judgement{unknowable, err} }

// Func makes a policy of a function: nil is yes, an error that answers
// errors.Is(err, ErrRefused) is no, and any other error means that it could not
// be evaluated. The name appears in logs. allow must be safe for concurrent use
// and obey ctx.
func Func(name string, allow func(ctx context.Context, id *Identity) error) Policy {
	r := rule{name: fmt.Sprintf("Func(%q)", name)}
	if allow == nil {
		r.bad = errors.New("nil function")
	}
	r.check = func(ctx context.Context, id *Identity) judgement {
		err := allow(ctx, id)
		switch {
		case err == nil:
			return judgement{verdict: yes}
		case errors.Is(err, ErrRefused):
			return judgement{no, err}
		}
		return undecided(err)
	}
	return r
}

// Anyone lets every process in whose identity the kernel tells, of any user. It
// is for services that decide by each message's sender.
func Anyone() Policy {
	return rule{name: "Anyone", check: func(context.Context, *Identity) judgement {
		return judgement{verdict: yes}
	}}
}
