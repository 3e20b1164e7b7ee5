// Package remember keeps the first successful result of a function.
package remember

import "sync/atomic"

// Success returns a function that calls f until it succeeds, and returns that result
// from then on. Unlike sync.OnceValues it does not keep a failure: the process may
// have been out of descriptors or memory, which passes. f may run several times at
// once; the result may be called concurrently.
func Success[T any](f func() (T, error)) func() (T, error) {
	var kept atomic.Pointer[T]
	return func() (T, error) {
		if v := kept.Load(); v != nil {
			return *v, nil
		}
		v, err := f()
		if err == nil {
			kept.Store(&v)
		}
		return v, err
	}
}
