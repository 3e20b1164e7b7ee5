package security

// check turns an OSStatus in a register into an error.
func check(r1 uintptr) error {
	if s := Status(int32(uint32(r1))); s != 0 {
		return s
	}
	return nil
}
