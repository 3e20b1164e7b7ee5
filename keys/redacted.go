package keys

import (
	"fmt"
	"io"
	"log/slog"
)

// placeholder is printed instead of a secret.
const placeholder = "[sealport secret]"

// redacted is embedded in the types that hold a secret. Its methods print a
// placeholder.
//
// Methods are not enough: fmt cannot call them on unexported fields of other
// structs. It then prints the fields themselves, and for a verb that does not fit it
// follows pointers. So these types hold the secret in a closure, which fmt prints as
// an address and reflection cannot inspect.
type redacted struct{}

// String returns a placeholder.
func (redacted) String() string { return placeholder }

// GoString returns a placeholder.
func (redacted) GoString() string { return placeholder }

// Format writes a placeholder for every verb.
func (redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue returns a placeholder.
func (redacted) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText returns a placeholder, which does not parse as a key.
func (redacted) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// MarshalJSON returns a placeholder, which does not parse as a key.
func (redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + placeholder + `"`), nil }
