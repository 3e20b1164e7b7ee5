package transport

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"
)

// checker returns an error for a value of its type that JSON would change.
// encoding/json itself refuses the others that it can't carry, such as NaN.
// Depth is in how many structs, maps, slices and arrays the value is. A nil
// checker stands for one that never finds anything.
type checker func(v reflect.Value, depth int) error

// maxDepth is how deep encoding/json decodes.
const maxDepth = 10_000

var errTooDeep = errors.New("the value nests too deep for JSON, or holds itself")

// unfit is the error of a checker: what is wrong, and where.
type unfit struct {
	path string
	err  error
}

func (e *unfit) Error() string { return e.path + ": " + e.err.Error() }
func (e *unfit) Unwrap() error { return e.err }

// maxPath is the length in bytes to which an unfit's path grows.
const maxPath = 200

// in adds to err the name of the field that it is in.
func in(name string, err error) error {
	u, ok := err.(*unfit)
	switch {
	case err == nil:
		return nil
	case !ok:
		return &unfit{name, err}
	case len(u.path)+len(name) < maxPath:
		u.path = name + "." + u.path
	}
	return err
}

// Types of the standard library whose values need a look.
var (
	numberType = reflect.TypeFor[json.Number]()
	rawType    = reflect.TypeFor[json.RawMessage]()
	timeType   = reflect.TypeFor[time.Time]()
)

// checkerOf returns the checker for a type, or an error that says why JSON does
// not carry it.
func checkerOf(t reflect.Type) (checker, error) {
	return (&compiler{make(map[place]*compiled)}).value(t, true)
}

// compiler makes the checkers of a type and all that is in it.
type compiler struct {
	known map[place]*compiled
}

// place is a type where it is: encoding/json calls methods of the pointer only
// for values that have an address, which those in maps have not.
type place struct {
	reflect.Type
	addressable bool
}

type compiled struct {
	check checker
	done  bool
}

// value returns the checker for values of type t.
func (c *compiler) value(t reflect.Type, addressable bool) (checker, error) {
	at := place{t, addressable}
	if known := c.known[at]; known != nil {
		if known.done {
			return known.check, nil
		}
		// The type is recursive, and so is the checker.
		return func(v reflect.Value, depth int) error { return known.check(v, depth) }, nil
	}
	made := new(compiled)
	c.known[at] = made
	check, err := c.make(t, addressable)
	if err != nil {
		return nil, err
	}
	made.check, made.done = check, true
	return check, nil
}

func (c *compiler) make(t reflect.Type, addressable bool) (checker, error) {
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		switch by, err := c.methods(t, addressable); {
		case err != nil:
			return nil, err
		case by == marshalText:
			return checkText, nil
		case by == marshalJSON:
			return standard(t, by), nil
		}
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return nil, nil
	case reflect.String:
		if t == numberType {
			return checkNumber, nil
		}
		return checkString, nil
	case reflect.Struct:
		return c.structure(t, addressable)
	case reflect.Pointer:
		return c.pointer(t)
	case reflect.Slice, reflect.Array:
		elem, err := c.value(t.Elem(), addressable || t.Kind() == reflect.Slice)
		if err != nil || elem == nil {
			return nil, err
		}
		return elements(elem), nil
	case reflect.Map:
		return c.mapping(t)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return func(v reflect.Value, depth int) error { return checkAny(v.Interface(), depth) }, nil
		}
		return nil, fmt.Errorf("%v is an interface with methods: JSON does not say what was in it", t)
	}
	return nil, fmt.Errorf("JSON has nothing for %v", t)
}

// standard returns the checker for types of the standard library whose methods change
// some values, and for structs that have the method from one of these alone.
func standard(t reflect.Type, m method) checker {
	switch t {
	case rawType:
		return checkRaw
	case timeType:
		return checkTime
	}
	if itself, _ := defines(t, m); itself {
		return nil
	}
	check := standard(t.Field(0).Type, m)
	if check == nil {
		return nil
	}
	return func(v reflect.Value, depth int) error { return check(v.Field(0), depth) }
}

// byKind is what methods returns for a type that encoding/json encodes by its
// kind.
const byKind method = -1

// methods returns by which of its methods encoding/json encodes a type. It asks
// for JSON first, and for text only if there is none of it.
func (c *compiler) methods(t reflect.Type, addressable bool) (by method, err error) {
	for _, pair := range [...][2]method{{marshalJSON, unmarshalJSON}, {marshalText, unmarshalText}} {
		var has [2]owner
		for i, m := range pair {
			if has[i], err = ownership(t, m); err != nil {
				return 0, err
			}
			if has[i] == promoted {
				return 0, fmt.Errorf("%v has %v from an embedded field, which would stand for the whole; name that field, or give %v methods of its own", t, m, t)
			}
		}
		switch by = pair[0]; {
		case has[0] == absent && has[1] == absent:
			continue
		case has[0] == absent:
			return 0, fmt.Errorf("%v has %v but no %v", t, pair[1], by)
		case has[1] == absent:
			return 0, fmt.Errorf("%v has %v but no %v", t, by, pair[1])
		case t.Name() == "":
			return 0, fmt.Errorf("%v has no name, and encoding/json does not call its %v; give it one", t, pair[1])
		case !addressable && !t.Implements(methodInterfaces[by]):
			return 0, fmt.Errorf("%v has %v on its pointer, which encoding/json does not call for a map's values; use a map of pointers", t, by)
		}
		return by, nil
	}
	return byKind, nil
}

func (c *compiler) pointer(t reflect.Type) (checker, error) {
	to := t.Elem()
	if to.Kind() == reflect.Pointer {
		return nil, fmt.Errorf("%v is a pointer to a pointer: JSON does not say which of them is nil", t)
	}
	elem, err := c.value(to, true)
	if err != nil {
		return nil, err
	}
	var isNull func(v reflect.Value) (bool, error)
	switch {
	case reflect.PointerTo(to).Implements(methodInterfaces[marshalJSON]):
		isNull = func(v reflect.Value) (bool, error) {
			b, err := v.Addr().Interface().(json.Marshaler).MarshalJSON()
			return string(bytes.TrimSpace(b)) == "null", err
		}
	case reflect.PointerTo(to).Implements(methodInterfaces[marshalText]):
	case to.Kind() == reflect.Slice || to.Kind() == reflect.Map || to.Kind() == reflect.Interface:
		isNull = func(v reflect.Value) (bool, error) { return v.IsNil(), nil }
	}
	if elem == nil && isNull == nil {
		return nil, nil
	}
	return func(v reflect.Value, depth int) error {
		if v.IsNil() {
			return nil
		}
		if isNull != nil {
			null, err := isNull(v.Elem())
			if err == nil && null {
				err = fmt.Errorf("the %v points to what is null in JSON, and would arrive as nil", t)
			}
			if err != nil {
				return err
			}
		}
		if elem == nil {
			return nil
		}
		return elem(v.Elem(), depth)
	}, nil
}

// elements checks those of a slice or array.
func elements(elem checker) checker {
	return func(v reflect.Value, depth int) error {
		if depth++; depth > maxDepth {
			return errTooDeep
		}
		for i := range v.Len() {
			if err := elem(v.Index(i), depth); err != nil {
				return err
			}
		}
		return nil
	}
}

func checkString(v reflect.Value, _ int) error {
	if !utf8.ValidString(v.String()) {
		return errNotUTF8
	}
	return nil
}

func checkNumber(v reflect.Value, _ int) error {
	if v.Len() == 0 {
		return errors.New("an empty json.Number would arrive as 0")
	}
	return nil
}

// checkText asks a type with MarshalText what encoding/json would get.
func checkText(v reflect.Value, _ int) error {
	if v.CanAddr() {
		v = v.Addr() // has the methods of the value too
	}
	p, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err == nil && !utf8.Valid(p) {
		err = errNotUTF8
	}
	return err
}

func checkRaw(v reflect.Value, depth int) error {
	var compact bytes.Buffer
	if v.IsNil() {
		return errors.New("a nil json.RawMessage would arrive as null")
	}
	if err := json.Compact(&compact, v.Bytes()); err != nil {
		return err
	}
	if !bytes.Equal(compact.Bytes(), v.Bytes()) {
		return errors.New("a json.RawMessage with white space would arrive without; see json.Compact")
	}
	if depth+nesting(v.Bytes()) > maxDepth {
		return errTooDeep
	}
	return nil
}

// nesting returns how deep objects and arrays nest in valid JSON.
func nesting(b []byte) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == '{' || c == '['):
			depth++
			deepest = max(deepest, depth)
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return deepest
}

// checkTime refuses what RFC 3339 rounds.
func checkTime(v reflect.Value, _ int) error {
	if !v.CanInterface() {
		return errors.New("the time is embedded by a name that is not exported, and its zone can't be checked")
	}
	t, _ := reflect.TypeAssert[time.Time](v)
	if _, offset := t.Zone(); offset%60 != 0 {
		return errors.New("the time's zone is not whole minutes from UTC, as JSON needs it")
	}
	return nil
}

// checkAny checks what encoding/json would return for an any.
func checkAny(x any, depth int) error {
	switch x := x.(type) {
	case nil, bool, float64:
		return nil
	case string:
		if !utf8.ValidString(x) {
			return errNotUTF8
		}
		return nil
	case []any:
		if depth++; depth > maxDepth {
			return errTooDeep
		}
		for _, elem := range x {
			if err := checkAny(elem, depth); err != nil {
				return err
			}
		}
		if x != nil {
			return nil
		}
	case map[string]any:
		if depth++; depth > maxDepth {
			return errTooDeep
		}
		for key, elem := range x {
			if !utf8.ValidString(key) {
				return errNotUTF8
			}
			if err := checkAny(elem, depth); err != nil {
				return err
			}
		}
		if x != nil {
			return nil
		}
	}
	return fmt.Errorf("an any that holds %T would arrive as another type", x)
}
