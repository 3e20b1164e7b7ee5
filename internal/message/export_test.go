package message

import "context"

// Mutex is the lock, for tests of it alone.
type Mutex struct{ m mutex }

func NewMutex() *Mutex                          { return &Mutex{newMutex()} }
func (m *Mutex) Lock(ctx context.Context) error { return m.m.lock(ctx) }
func (m *Mutex) TryLock() bool                  { return m.m.tryLock() }
func (m *Mutex) Unlock()                        { m.m.unlock() }

// AssemblyMemory is what a Conn holds for a message in pieces, in bytes.
func (c *Conn) AssemblyMemory() int { return cap(c.assembly) }
