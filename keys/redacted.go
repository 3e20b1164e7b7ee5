package keys

import (
	"fmt"
	"io"
	"log/slog"
)

// placeholder stands wherever a secret would be printed.
const placeholder = "[sealport secret]"

// redacted is embedded in the types that hold a secret and gives them methods that
// print a placeholder.
//
// Methods are not enough: fmt can't call them on the unexported fields of other
// people's structs, and then prints what it finds, and for a verb that does not
// fit it follows a pointer to get there. So those types hold the secret in a
// closure, which fmt prints as an address, and which reflection can't look into.
type redacted struct{}

// String returns a placeholder.
func (redacted) String() string { return placeholder }

// GoString returns a placeholder.
func (redacted) GoString() string { return placeholder }

// Format writes a placeholder, whatever the verb.
func (redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue returns a placeholder.
func (redacted) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText returns a placeholder, which does not parse as a key.
func (redacted) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// MarshalJSON returns a placeholder, which does not parse as a key.
func (redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + placeholder + `"`), nil }
