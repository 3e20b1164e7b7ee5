package transport

import (
	"encoding"
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
				err = checkKey(key, seen)
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
			return true, nil
		}
	}
	return false, fmt.Errorf("JSON does not carry map keys of type %v exactly", t)
}

// checkKey checks a key that travels as its text, of which there must be one.
func checkKey(key reflect.Value, seen map[string]bool) error {
	p, err := key.Interface().(encoding.TextMarshaler).MarshalText()
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
