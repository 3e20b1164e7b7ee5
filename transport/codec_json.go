package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"sync"
	"unicode/utf8"
)

// jsonCodec is encoding/json for a type of which it loses nothing.
type jsonCodec[T any] struct {
	check checker // nil if every value is fine
}

var (
	errNotUTF8  = errors.New("not UTF-8")
	errTrailing = errors.New("data after the JSON value")
)

func jsonCodecOf[T any]() (Codec[T], error) {
	check, err := checkerOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	return jsonCodec[T]{check}, nil
}

func (jsonCodec[T]) ContentName() string { return "json" }

func (c jsonCodec[T]) Append(b []byte, v T) ([]byte, error) {
	if c.check != nil {
		if err := c.check(reflect.ValueOf(&v).Elem(), 0); err != nil {
			return nil, err
		}
	}
	e := jsonEncoders.Get().(*jsonEncoder)
	e.b = b
	err := e.Encode(&v) // by its address, for methods on the pointer
	out := e.b
	e.b = nil
	jsonEncoders.Put(e) // not after a panic
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(out[len(b):]) { // from a MarshalJSON
		return nil, errNotUTF8
	}
	return out[:len(out)-1], nil // without Encode's newline
}

// jsonEncoder appends to b what it encodes.
type jsonEncoder struct {
	*json.Encoder
	b []byte
}

func (e *jsonEncoder) Write(p []byte) (int, error) {
	e.b = append(e.b, p...)
	return len(p), nil
}

var jsonEncoders = sync.Pool{New: func() any {
	e := new(jsonEncoder)
	e.Encoder = json.NewEncoder(e)
	e.SetEscapeHTML(false) // which would change a json.RawMessage
	return e
}}

func (c jsonCodec[T]) Decode(b []byte) (T, error) {
	var v, none T
	if !utf8.Valid(b) {
		return none, errNotUTF8
	}
	d := jsonDecoders.Get().(*jsonDecoder)
	start := d.InputOffset()
	d.message.Reset(b)
	if err := d.Decode(&v); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return none, err // and the decoder is done for
	}
	rest := b[d.InputOffset()-start:]
	switch {
	case len(bytes.TrimLeft(rest, " \t\r\n")) > 0:
		return none, errTrailing
	case len(rest) == 0 && len(b) <= keptEncoding:
		d.message.Reset(nil)
		jsonDecoders.Put(d)
	}
	return v, nil
}

// jsonDecoder decodes one message after the other.
type jsonDecoder struct {
	*json.Decoder
	message bytes.Reader
}

var jsonDecoders = sync.Pool{New: func() any {
	d := new(jsonDecoder)
	d.Decoder = json.NewDecoder(&d.message)
	d.DisallowUnknownFields()
	return d
}}
