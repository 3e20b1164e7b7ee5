package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Policy is a rule about identities. Policies are made by the functions of this
// package, combined by [AllOf], [AnyOf] and [Not], and extended by [Func]. They may be
// used concurrently and for any number of checks. Making one does not block, and
// copies its arguments; a wrong argument shows in [Validate] and [Check].
//
// A policy accepts, refuses, or cannot be evaluated: on this system or kernel, with
// our rights, or for this peer. A peer that a policy cannot be evaluated for is
// refused, and [Not] does not change that.
type Policy interface {
	// String is the rule as it is written, such as
	// AllOf(SameUser, Executable("/usr/bin/x")).
	String() string

	// evaluate must not be called with a nil Identity.
	evaluate(ctx context.Context, id *Identity) result

	// defect returns why the rule can never be evaluated, an ErrPolicy, or nil.
	defect() error
}

// verdict orders the answers: the strictest is the smallest.
type verdict int8

const (
	refuses verdict = iota
	unknowable
	accepts
)

// result is a verdict and the reason for it, nil if it accepts.
type result struct {
	verdict verdict
	reason  error
}

var accepted = result{verdict: accepts}

// ErrPolicy means that a policy can never be evaluated: a list without members, a
// relative path, a nil policy. Such a policy refuses every peer.
var ErrPolicy = errors.New("peer: unusable policy")

// Default is the policy where none is chosen: AnyOf([SameUser], [Root]).
func Default() Policy { return AnyOf(SameUser(), Root()) }

// Validate returns an error that answers errors.Is(err, [ErrPolicy]) if some part of
// p can never be evaluated. A nil p stands for [Default]. It does not block, and may be
// called concurrently.
func Validate(p Policy) error {
	if p == nil {
		return nil
	}
	return p.defect()
}

// Check returns nil if p accepts the peer, else a [*RefusedError]. A nil p stands for
// [Default]; a nil id is refused. The identity stays the caller's.
//
// Check captures the peer's executable where that can be read (see
// [Identity.Recheck]) and evaluates p. It refuses a process that has exited or taken
// other ids since the identity was made. It may be called again, and concurrently:
// what can change is looked up each time. It blocks as long as p's rules do, of which
// [ExecutableDigest], [CodeRequirement], [Users], [Groups] and [Func] may take long.
// ctx interrupts digests, and is checked between rules.
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
	// Rules about programs use this look, and report why it failed.
	id.look()
	if r := p.evaluate(ctx, id); r.verdict != accepts {
		return refuse(r.reason)
	}
	// Without a pidfd the end of the connection shows that the peer is gone.
	if err := id.same(); err != nil && !errors.Is(err, errBlind) {
		return refuse(err)
	}
	return nil
}

// RefusedError is the error of [Check]: which policy refused which peer. It answers
// errors.Is for [ErrRefused] and for what its Reason wraps: [ErrGone], [ErrChanged],
// [ErrUnavailable], [ErrNoIdentity], [ErrPolicy], the context's error. It is for the
// log of this side, and is not sent to the peer.
type RefusedError struct {
	Rule   string // the whole policy
	Token  Token  // zero without an identity
	Reason error  // which part of it refused, and why
}

// Error returns one line with all fields.
func (e *RefusedError) Error() string {
	reason := fmt.Sprint(e.Reason)
	reason = strings.TrimPrefix(reason, e.Rule+": ") // a rule that stands alone
	return fmt.Sprintf("%v by %s: %s [%v]", ErrRefused, e.Rule, reason, e.Token)
}

// Unwrap returns [ErrRefused] and the reason.
func (e *RefusedError) Unwrap() []error { return []error{ErrRefused, e.Reason} }

// errNothing is the defect of a rule with an empty list.
var errNothing = errors.New("nothing to compare with")

// rule is a Policy that looks at one thing.
type rule struct {
	name  string
	check func(ctx context.Context, id *Identity) result
	bad   error // why check must not be called
}

func (r rule) String() string { return r.name }

func (r rule) defect() error {
	if r.bad == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrPolicy, r.name, r.bad)
}

func (r rule) evaluate(ctx context.Context, id *Identity) result {
	res := result{unknowable, ctx.Err()}
	switch {
	case r.bad != nil:
		res.reason = fmt.Errorf("%w: %w", ErrPolicy, r.bad)
	case res.reason == nil:
		res = r.check(ctx, id)
	}
	if res.verdict == accepts {
		return accepted
	}
	return result{res.verdict, fmt.Errorf("%s: %w", r.name, res.reason)}
}

// decide is the result of a rule that could be evaluated.
func decide(allowed bool, format string, args ...any) result {
	if allowed {
		return accepted
	}
	return result{refuses, fmt.Errorf(format, args...)}
}

// undecided is the result of a rule that could not be evaluated.
func undecided(err error) result { return result{unknowable, err} }

// Func makes a policy of a function, which accepts by nil, refuses by an error that
// answers errors.Is(err, [ErrRefused]), and could not be evaluated if it returns any
// other error. The name appears in logs. allow may be called concurrently, and must
// return soon after ctx ends. It does not close the identity, nor use it later.
func Func(name string, allow func(ctx context.Context, id *Identity) error) Policy {
	r := rule{name: fmt.Sprintf("Func(%q)", name)}
	if allow == nil {
		r.bad = errors.New("nil function")
	}
	r.check = func(ctx context.Context, id *Identity) result {
		err := allow(ctx, id)
		switch {
		case err == nil:
			return accepted
		case errors.Is(err, ErrRefused):
			return result{refuses, err}
		}
		return undecided(err)
	}
	return r
}

// Anyone accepts every process with a kernel-verified identity, of any user. It is
// for services that decide by each message's sender.
func Anyone() Policy {
	return rule{name: "Anyone", check: func(context.Context, *Identity) result { return accepted }}
}
