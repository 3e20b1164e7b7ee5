package transport

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// Codec turns values into bytes and back. Both methods may be called by several
// goroutines at a time.
type Codec[T any] interface {
	// Append appends the encoding of v to b. It may keep v, not b.
	Append(b []byte, v T) ([]byte, error)

	// Decode returns the value that b encodes. b comes from another process:
	// it may be anything, and is overwritten when the message's handler has
	// returned. A panic counts as an error.
	Decode(b []byte) (T, error)
}

// CodecOf returns the codec for a type where none is given: []byte as it is,
// string as its bytes, then what the type itself does (encoding.BinaryAppender
// or BinaryMarshaler, and BinaryUnmarshaler on its pointer), else JSON. It
// returns ErrConfig for types that JSON can't represent, such as channels.
//
// A decoded []byte is valid until the handler returns; other values own what
// they hold.
func CodecOf[T any]() (Codec[T], error) {
	if c, ok := any(rawCodec{}).(Codec[T]); ok {
		return c, nil
	}
	if c, ok := any(stringCodec{}).(Codec[T]); ok {
		return c, nil
	}
	if c, ok := binaryCodecOf[T](); ok {
		return c, nil
	}
	var zero T
	if _, err := json.Marshal(zero); err != nil {
		return nil, fmt.Errorf("%w: no codec for %T: %w", ErrConfig, zero, err)
	}
	return jsonCodec[T]{}, nil
}

type rawCodec struct{}

func (rawCodec) Append(b []byte, v []byte) ([]byte, error) { return append(b, v...), nil }
func (rawCodec) Decode(b []byte) ([]byte, error)           { return b, nil }

type stringCodec struct{}

func (stringCodec) Append(b []byte, v string) ([]byte, error) { return append(b, v...), nil }
func (stringCodec) Decode(b []byte) (string, error)           { return string(b), nil }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(b []byte, v T) ([]byte, error) {
	p, err := json.Marshal(v)
	return append(b, p...), err
}

func (jsonCodec[T]) Decode(b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// binaryCodec uses the methods of the type itself. T is a value type whose
// pointer decodes, or such a pointer.
type binaryCodec[T any] struct {
	append func(b []byte, v T) ([]byte, error)
	target func(v *T) encoding.BinaryUnmarshaler // makes what v points to, if it is a pointer
}

func (c binaryCodec[T]) Append(b []byte, v T) ([]byte, error) { return c.append(b, v) }

func (c binaryCodec[T]) Decode(b []byte) (v T, err error) {
	err = c.target(&v).UnmarshalBinary(b)
	return v, err
}

func binaryCodecOf[T any]() (Codec[T], bool) {
	var c binaryCodec[T]
	var zero T
	switch _, isValue := any(&zero).(encoding.BinaryUnmarshaler); {
	case isValue:
		c.target = func(v *T) encoding.BinaryUnmarshaler { return any(v).(encoding.BinaryUnmarshaler) }
	case reflect.TypeFor[T]().Kind() == reflect.Pointer:
		if _, ok := any(zero).(encoding.BinaryUnmarshaler); !ok {
			return nil, false
		}
		elem := reflect.TypeFor[T]().Elem()
		c.target = func(v *T) encoding.BinaryUnmarshaler {
			*v = reflect.New(elem).Interface().(T)
			return any(*v).(encoding.BinaryUnmarshaler)
		}
	default:
		return nil, false
	}
	// The methods may be on the value or on its pointer.
	if _, ok := any(zero).(encoding.BinaryAppender); ok {
		c.append = func(b []byte, v T) ([]byte, error) { return any(v).(encoding.BinaryAppender).AppendBinary(b) }
	} else if _, ok := any(&zero).(encoding.BinaryAppender); ok {
		c.append = func(b []byte, v T) ([]byte, error) { return any(&v).(encoding.BinaryAppender).AppendBinary(b) }
	} else if _, ok := any(zero).(encoding.BinaryMarshaler); ok {
		c.append = func(b []byte, v T) ([]byte, error) { return marshal(b, any(v).(encoding.BinaryMarshaler)) }
	} else if _, ok := any(&zero).(encoding.BinaryMarshaler); ok {
		c.append = func(b []byte, v T) ([]byte, error) { return marshal(b, any(&v).(encoding.BinaryMarshaler)) }
	} else {
		return nil, false
	}
	return c, true
}

func marshal(b []byte, m encoding.BinaryMarshaler) ([]byte, error) {
	p, err := m.MarshalBinary()
	return append(b, p...), err
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

// encode is Append with its failure named.
func (k *coder[T]) encode(b []byte, v T) ([]byte, error) {
	b, err := k.Append(b, v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	return b, nil
}

// decode is Decode with its panics caught: the bytes come from another process.
func (k *coder[T]) decode(b []byte) (v T, err error) {
	if k.value != nil {
		return k.value(b), nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the codec panicked: %v", r)
		}
	}()
	return k.Decode(b)
}

// contentName is replaced at the merge.
func contentName[T any](c Codec[T]) (string, error) {
	switch any(c).(type) {
	case rawCodec:
		return "bytes", nil
	case stringCodec:
		return "string", nil
	case jsonCodec[T]:
		return "json", nil
	case binaryCodec[T]:
		return "binary", nil
	}
	return "custom", nil
}
