package record

// SetCounter puts the counter forward, which takes too long by sealing.
func (s *state) SetCounter(n uint64) { s.counter = n }

// SetUsed pretends that so much was sealed or opened with the key.
func (s *state) SetUsed(records, bytes uint64) { s.records, s.bytes = records, bytes }

// Counter is the number of the next record.
func (s *state) Counter() uint64 { return s.counter }

const LastNonce = lastNonce
