package keys

import "strings"

// prefix begins the text of every error of this package.
const prefix = "keys: "

// stepError is an error while this package did something. Its text names the
// package once, in front.
type stepError struct {
	step string
	err  error
}

// step returns err with what was being done, such as "reading key file".
func step(doing string, err error) error { return &stepError{doing, err} }

func (e *stepError) Error() string {
	return prefix + e.step + ": " + strings.TrimPrefix(e.err.Error(), prefix)
}

func (e *stepError) Unwrap() error { return e.err }
