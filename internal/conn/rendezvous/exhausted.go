package rendezvous

import "errors"

// ErrExhausted means that a process is out of descriptors, memory or disk space.
var ErrExhausted = errors.New("system resource exhausted")

// exhaustion is one of the system's errors for that.
type exhaustion struct {
	errno  error
	advice func() string
}

// IsExhausted reports whether err is ErrExhausted or one of the system's errors for
// that.
func IsExhausted(err error) bool {
	if errors.Is(err, ErrExhausted) {
		return true
	}
	for _, e := range exhaustions {
		if errors.Is(err, e.errno) {
			return true
		}
	}
	return false
}

// exhaustedError is ErrExhausted with what to do about it. It answers errors.Is
// for the system's error too.
type exhaustedError struct {
	cause  error
	advice string
}

func (e *exhaustedError) Error() string {
	return ErrExhausted.Error() + ": " + e.cause.Error() + ": " + e.advice
}

func (e *exhaustedError) Unwrap() []error { return []error{ErrExhausted, e.cause} }

// Explain makes an ErrExhausted, with the limit and what to do, of an error of the
// system's that means that. Other errors are returned as they are.
func Explain(err error) error {
	if err == nil || errors.Is(err, ErrExhausted) {
		return err
	}
	for _, e := range exhaustions {
		if errors.Is(err, e.errno) {
			return &exhaustedError{err, e.advice()}
		}
	}
	return err
}
