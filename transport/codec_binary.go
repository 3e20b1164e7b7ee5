package transport

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
)

// binaryCodec uses the methods of the type itself. T is a value type or a
// pointer to one.
type binaryCodec[T any] struct {
	pointee reflect.Type // if T is a pointer
	appends bool         // AppendBinary is the type's own, else MarshalBinary
}

// errNilPointer is for a pointer that would arrive as one that is not nil.
var errNilPointer = errors.New("the pointer is nil")

func (binaryCodec[T]) ContentName() string { return "binary" }

func (c binaryCodec[T]) Append(b []byte, v T) ([]byte, error) {
	if c.pointee == nil {
		value := v                     // which escapes, and v does not: sending pointers costs no allocation
		return c.appendSelf(b, &value) // has the methods of the value and of its pointer
	}
	if reflect.ValueOf(v).IsNil() {
		return nil, errNilPointer
	}
	return c.appendSelf(b, v)
}

func (c binaryCodec[T]) appendSelf(b []byte, self any) ([]byte, error) {
	if c.appends {
		return self.(encoding.BinaryAppender).AppendBinary(b)
	}
	p, err := self.(encoding.BinaryMarshaler).MarshalBinary()
	return append(b, p...), err
}

func (c binaryCodec[T]) Decode(b []byte) (v T, err error) {
	self := any(&v)
	if c.pointee != nil {
		v = reflect.New(c.pointee).Interface().(T)
		self = v
	}
	err = self.(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
	return v, err
}

// binaryCodecOf returns nil if T has no binary methods of its own.
func binaryCodecOf[T any]() (Codec[T], error) {
	var c binaryCodec[T]
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		t = t.Elem()
		c.pointee = t
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return nil, nil
	}
	var own [unmarshalBinary + 1]bool
	for m := range own {
		o, err := ownership(t, method(m))
		if err != nil {
			return nil, err
		}
		own[m] = o == owned
	}
	switch encodes := own[appendBinary] || own[marshalBinary]; {
	case encodes && !own[unmarshalBinary]:
		return nil, fmt.Errorf("%v encodes itself as binary, but has no UnmarshalBinary of its own", t)
	case !encodes && own[unmarshalBinary]:
		return nil, fmt.Errorf("%v has UnmarshalBinary, but no AppendBinary or MarshalBinary of its own", t)
	case !encodes:
		return nil, nil
	}
	c.appends = own[appendBinary]
	return c, nil
}
