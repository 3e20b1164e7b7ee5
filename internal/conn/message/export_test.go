package message

// AssemblyMemory is what a Conn holds for a message in pieces, in bytes.
func (c *Conn) AssemblyMemory() int { return cap(c.assembly) }
