package rendezvous

// Setup is a set-up message, for the fuzz target of its parser.
type Setup struct {
	Carrier byte
	Ring    uint32
	Hello   []byte
}

func ParseSetup(b []byte) (Setup, error) {
	s, err := parseSetup(b)
	return Setup{s.carrier, s.ring, s.hello}, err
}

func (s Setup) Append(b []byte) []byte {
	return setup{carrier: s.Carrier, ring: s.Ring, hello: s.Hello}.append(b)
}
