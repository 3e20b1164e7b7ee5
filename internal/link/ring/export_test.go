package ring

// Abandon ends this side of a local Link as the death of its process would: the peer
// reads what was written, then link.ErrPeerGone. Close must still be called.
func (l *Link) Abandon() {
	l.state.Or(stateWriteEnded)
	l.Interrupt()
	_ = l.peer.detach()
}
