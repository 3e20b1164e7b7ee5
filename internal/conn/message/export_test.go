package message

// AssemblyMemory is what a Conn holds for a message in fragments, in bytes.
func (c *Conn) AssemblyMemory() int { return cap(c.assembly) }
