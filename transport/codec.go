package transport

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/sealport/sealport/internal/wire"
)

// Codec turns values into bytes and back. Both methods may be called by several
// goroutines at a time. A panic in one of them is an error of that message:
// [ErrEncode] or [ErrDecode].
//
// A Codec that also has a method
//
//	ContentName() string
//
// names its content with it, such as "proto:acme.Order": 1 to 128 bytes of printable
// ASCII without spaces, the same at each call. A Codec without one is "custom".
type Codec[T any] interface {
	// Append appends the encoding of v to b and returns the extended slice. It must
	// keep neither: callers may change v after Send has returned.
	Append(b []byte, v T) ([]byte, error)

	// Decode returns the value that b encodes. b comes from another process:
	// it may be anything. It is overwritten after the message's handler has
	// returned, or by the client's next Receive.
	Decode(b []byte) (T, error)
}

// CodecOf returns the default codec of T. It depends on the type alone, and is the
// first of these that fits:
//
//   - "bytes", for []byte: as it is, without a copy where none is needed. A nil
//     slice arrives empty.
//   - "string", for string: its bytes, even if they are not UTF-8.
//   - "binary", for a type with methods of its own, or on its pointer:
//     UnmarshalBinary ([encoding.BinaryUnmarshaler]) and AppendBinary
//     ([encoding.BinaryAppender]) or MarshalBinary ([encoding.BinaryMarshaler]).
//     A nil pointer does not encode.
//   - "json", for a type of which [encoding/json] loses nothing.
//
// A method that a struct has from an embedded field is not its own, unless that
// field, not a pointer, is all that the struct has, and has the method as its own.
//
// # What JSON carries
//
// What JSON would leave out or change is an error, never a silent change. If the
// type is the cause, CodecOf returns [ErrConfig]: unexported fields, two fields of
// one name, also where an embedded struct has one of them, methods from embedded
// fields, one of MarshalJSON and UnmarshalJSON (or MarshalText and UnmarshalText)
// without the other, MarshalJSON on the pointer of a type that is a map's value
// (encoding/json does not call it there), pointers to pointers, interfaces with
// methods, channels, functions, complex numbers, map keys that do not decode to the
// same value, and unnamed structs that have MarshalJSON or MarshalText (encoding/json
// does not decode them). A field tagged `json:"-"` is left out. Recursive types are
// supported.
//
// If the value is the cause, sending it returns [ErrEncode]: strings and map keys
// that are not UTF-8, map keys whose text and JSON differ, NaN and infinities, values
// that contain themselves or nest deeper than 10,000 levels, values in an any other than
// nil, bool, float64, string, []any and map[string]any, pointers to what is null in JSON
// (such as a nil slice), what omitempty or omitzero drops although it is not the
// zero value (such as an empty slice that is not nil), a json.RawMessage that is nil
// or not compact, an empty json.Number, and a time whose offset from UTC is not a
// whole number of minutes.
//
// A nil slice or map arrives as nil and an empty one as empty. Pointers to one
// value arrive as pointers to copies of it. Types with methods of their own
// arrive as these make them: a [time.Time] keeps its instant and its offset from
// UTC, not the name of its zone nor its monotonic reading.
//
// Decoding is strict: unknown fields, data after the value, and text that is not
// UTF-8 are [ErrDecode]. Otherwise it is that of encoding/json: missing fields are
// zero, a field that occurs twice is decoded into the result of the first, and elements
// that do not fit an array are dropped.
//
// # Costs
//
// Encoding JSON walks each value once before encoding/json does, if its type has
// anything that depends on the value; types with MarshalText methods, and types
// with MarshalJSON methods behind a pointer, have them called twice. CodecOf examines the
// type at each call. It does not block and may be called concurrently.
//
// A decoded []byte is valid until the handler returns, or until the client's next
// Receive; other values own their memory. A value must not change while a call sends it.
func CodecOf[T any]() (Codec[T], error) {
	if c, ok := any(rawCodec{}).(Codec[T]); ok {
		return c, nil
	}
	if c, ok := any(stringCodec{}).(Codec[T]); ok {
		return c, nil
	}
	c, err := binaryCodecOf[T]()
	if err == nil && c == nil {
		c, err = jsonCodecOf[T]()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: no codec for %v: %w", ErrConfig, reflect.TypeFor[T](), err)
	}
	return c, nil
}

type rawCodec struct{}

func (rawCodec) Append(b []byte, v []byte) ([]byte, error) { return append(b, v...), nil }
func (rawCodec) Decode(b []byte) ([]byte, error)           { return b, nil }
func (rawCodec) ContentName() string                       { return "bytes" }

type stringCodec struct{}

func (stringCodec) Append(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
func (stringCodec) Decode(b []byte) (string, error)           { return string(b), nil }
func (stringCodec) ContentName() string                       { return "string" }

// contentName is what c calls its bytes. A name that does not fit the hello is
// ErrConfig.
func contentName[T any](c Codec[T]) (string, error) {
	named, ok := any(c).(interface{ ContentName() string })
	if !ok {
		return "custom", nil
	}
	name := named.ContentName()
	if name == "" || !wire.IsContentName(name) {
		return "", fmt.Errorf("%w: the content name of %T is %.140q; it needs 1 to %d bytes of printable ASCII without spaces",
			ErrConfig, c, name, wire.MaxContentName)
	}
	return name, nil
}

// coder is a codec with the way around it for []byte, whose bytes are the
// message.
type coder[T any] struct {
	Codec[T]
	bytes func(T) []byte // nil if T is not sent as it is
	value func([]byte) T
}

func newCoder[T any](c Codec[T]) coder[T] {
	k := coder[T]{Codec: c}
	if _, ok := any(c).(rawCodec); ok {
		same := func(b []byte) []byte { return b }
		k.bytes, k.value = any(same).(func(T) []byte), any(same).(func([]byte) T)
	}
	return k
}

// encode is Append with its failures and panics named.
func (k *coder[T]) encode(b []byte, v T) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("%w: %w", ErrEncode, panicked(r))
		}
	}()
	if out, err = k.Append(b, v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	return out, nil
}

// decode is Decode with its panics caught: the bytes come from another process.
func (k *coder[T]) decode(b []byte) (v T, err error) {
	if k.value != nil {
		return k.value(b), nil
	}
	defer func() {
		if r := recover(); r != nil {
			var none T
			v, err = none, panicked(r)
		}
		if errors.Is(err, io.EOF) {
			// The message ended, not the connection, which io.EOF means to callers.
			err = fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, err)
		}
	}()
	return k.Decode(b)
}

// panicked is the error that a codec's panic becomes.
func panicked(r any) error {
	if err, ok := r.(error); ok {
		return fmt.Errorf("the codec panicked: %w", err)
	}
	return fmt.Errorf("the codec panicked: %v", r)
}
