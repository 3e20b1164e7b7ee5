// Package remember keeps the answers of questions that always have the same one.
package remember

import "sync/atomic"

// Success returns f with its first successful answer kept. A failure is not kept,
// unlike by sync.OnceValues: it may be for want of descriptors or memory, which
// somebody else can cause and which passes. f may run several times at once; the
// result may be called concurrently.
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
