package peer

import "sync/atomic"

// remember returns f with its first answer kept. A failure is not kept: it may be
// for want of descriptors, which somebody else can cause and which passes.
func remember[T any](f func() (T, error)) func() (T, error) {
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
