package transport

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// mapping returns the checker for a map.
func (c *compiler) mapping(t reflect.Type) (checker, error) {
	byText, err := c.key(t.Key())
	if err != nil {
		return nil, err
	}
	elem, err := c.value(t.Elem(), false)
	if err != nil {
		return nil, err
	}
	var standardKey checker
	if byText {
		standardKey = standard(t.Key(), marshalText)
	}
	isString := t.Key().Kind() == reflect.String
	if elem == nil && !byText && !isString {
		return nil, nil
	}
	return func(v reflect.Value, depth int) error {
		if depth++; depth > maxDepth {
			return errTooDeep
		}
		if v.Len() == 0 {
			return nil
		}
		var seen map[string]bool
		if byText {
			seen = make(map[string]bool, v.Len())
		}
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		for iter := v.MapRange(); iter.Next(); {
			key.SetIterKey(iter)
			var err error
			switch {
			case byText:
				if standardKey != nil {
					err = standardKey(key, depth)
				}
				if err == nil {
					err = checkKey(key, seen)
				}
			case isString:
				err = checkString(key, depth)
			}
			if err == nil && elem != nil {
				value.SetIterValue(iter)
				err = elem(value, depth)
			}
			if err != nil {
				return in("a map's entry", err)
			}
		}
		return nil
	}, nil
}

// key reports whether keys of type t travel as their MarshalText, and refuses
// those that encoding/json decodes in another way than it encodes them.
func (c *compiler) key(t reflect.Type) (byText bool, err error) {
	marshals, err := ownership(t, marshalText)
	if err != nil {
		return false, err
	}
	unmarshals, err := ownership(t, unmarshalText)
	if err != nil {
		return false, err
	}
	plain := marshals == absent && unmarshals == absent
	switch t.Kind() {
	case reflect.String:
		if plain {
			return false, nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if plain {
			return false, nil
		}
		fallthrough
	default:
		if marshals == owned && unmarshals == owned && t.Implements(methodInterfaces[marshalText]) {
			if err := c.keyJSON(t); err != nil {
				return false, err
			}
			return true, nil
		}
	}
	return false, fmt.Errorf("JSON does not carry map keys of type %v exactly", t)
}

// keyJSON refuses keys that have UnmarshalJSON, which encoding/json then calls with
// the text in quotes, and no MarshalJSON that tells whether it knows that form.
func (c *compiler) keyJSON(t reflect.Type) error {
	unmarshals, err := ownership(t, unmarshalJSON)
	if err != nil || unmarshals == absent {
		return err
	}
	marshals, err := ownership(t, marshalJSON)
	if err != nil || marshals == owned && unmarshals == owned && t.Implements(methodInterfaces[marshalJSON]) {
		return err
	}
	return fmt.Errorf("JSON does not carry map keys of type %v exactly: it has UnmarshalJSON without its MarshalJSON", t)
}

// checkKey checks a key that travels as its text, of which there must be one. If it
// has JSON methods too, its JSON must be that text: it is decoded by them.
func checkKey(key reflect.Value, seen map[string]bool) error {
	p, err := key.Interface().(encoding.TextMarshaler).MarshalText()
	if m, ok := key.Interface().(json.Marshaler); err == nil && ok {
		var text string
		var b []byte
		if b, err = m.MarshalJSON(); err == nil && (json.Unmarshal(b, &text) != nil || text != string(p)) {
			err = errors.New("the key's text and JSON differ")
		}
	}
	switch {
	case err != nil:
		return err
	case !utf8.Valid(p):
		return errNotUTF8
	case seen[string(p)]:
		return errors.New("two keys have the same text, and one would be lost")
	}
	seen[string(p)] = true
	return nil
}
