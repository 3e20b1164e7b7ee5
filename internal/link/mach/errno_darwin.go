package mach

// check turns a return code into an error; 0 is success for all three kinds.
func check(code uint32) error {
	if code == 0 {
		return nil
	}
	return Errno(code)
}
