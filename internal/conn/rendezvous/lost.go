package rendezvous

// LostError means that the name of an endpoint no longer led to its listener.
type LostError struct {
	// What was removed or replaced.
	What string

	// Ended means that another process serves the endpoint now; Err says which, and
	// answers errors.Is(err, ErrInUse). The listener finds no more clients.
	Ended bool

	// Err is why the name does not lead to the listener yet, which tries again; nil
	// if it leads there again.
	Err error
}

func (e *LostError) Error() string {
	s := e.What + " was removed or replaced"
	switch {
	case e.Err == nil:
		return s + "; the endpoint is served again"
	case e.Ended:
		return s + ": " + e.Err.Error()
	}
	return s + "; the endpoint is not served until this succeeds: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *LostError) Unwrap() error { return e.Err }
