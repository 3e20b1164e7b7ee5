package message

// AssemblyMemory is what a Conn holds for a message in fragments, in bytes.
func (c *Conn) AssemblyMemory() int { return cap(c.assembly) }

// Counts is how many frames a Conn remembers that do not carry one message each.
func (c *Conn) Counts() int { return len(c.counts) }
