package transport

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// fieldCheck is what has to be looked at in one field of a struct.
type fieldCheck struct {
	name  string
	index int
	omits func(v reflect.Value) (bool, error) // nil if the field is always sent
	check checker
}

// structure returns the checker for a struct that is encoded by its fields.
func (c *compiler) structure(t reflect.Type, addressable bool) (checker, error) {
	s := structCompiler{compiler: c, addressable: addressable, names: make(map[string]bool)}
	fields, _, err := s.fields(t)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	return func(v reflect.Value, depth int) error {
		if depth++; depth > maxDepth {
			return errTooDeep
		}
		return checkFields(fields, v, depth)
	}, nil
}

func checkFields(fields []fieldCheck, v reflect.Value, depth int) error {
	for i := range fields {
		f := &fields[i]
		fv := v.Field(f.index)
		if f.omits != nil {
			omitted, err := f.omits(fv)
			if err != nil {
				return in(f.name, err)
			}
			if omitted {
				continue
			}
		}
		if f.check != nil {
			if err := f.check(fv, depth); err != nil {
				return in(f.name, err)
			}
		}
	}
	return nil
}

// structCompiler collects the fields of a struct and of those it embeds.
type structCompiler struct {
	*compiler
	addressable bool
	names       map[string]bool // in JSON
	path        []reflect.Type  // structs that embed each other
}

// fields returns what to check of t, and whether at least one field is always
// sent.
func (s *structCompiler) fields(t reflect.Type) (checks []fieldCheck, sends bool, err error) {
	if slices.Contains(s.path, t) {
		return nil, false, fmt.Errorf("%v embeds itself", t)
	}
	s.path = append(s.path, t)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" {
			continue
		}
		f := fieldCheck{name: sf.Name, index: i}
		name, options, _ := strings.Cut(tag, ",")
		if !isJSONName(name) {
			name = ""
		}
		var always bool
		if sf.Anonymous && name == "" && isStruct(sf.Type) {
			f.check, always, err = s.embedded(sf)
		} else {
			f, always, err = s.named(f, sf, name, strings.Split(options, ","))
		}
		if err != nil {
			return nil, false, in(sf.Name, err)
		}
		sends = sends || always
		if f.check != nil || f.omits != nil {
			checks = append(checks, f)
		}
	}
	return checks, sends, nil
}

func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// embedded is for a struct whose fields JSON has beside those of the outer.
func (s *structCompiler) embedded(sf reflect.StructField) (checker, bool, error) {
	t, isPointer := sf.Type, sf.Type.Kind() == reflect.Pointer
	if isPointer {
		if t = t.Elem(); !sf.IsExported() {
			return nil, false, errors.New("it embeds a pointer to an unexported struct, which encoding/json can't set")
		}
	}
	if by, err := s.methods(t, true); err != nil {
		return nil, false, err
	} else if by != byKind {
		return nil, false, fmt.Errorf("it is embedded, where encoding/json does not call its %v", by)
	}
	addressable := s.addressable
	s.addressable = addressable || isPointer
	fields, sends, err := s.fields(t)
	s.addressable = addressable
	switch {
	case err != nil:
		return nil, false, err
	case isPointer && !sends:
		return nil, false, errors.New("it embeds a pointer to a struct that may leave no trace in JSON")
	case len(fields) == 0:
		return nil, sends, nil
	}
	return func(v reflect.Value, depth int) error {
		if isPointer {
			if v.IsNil() {
				return nil
			}
			v = v.Elem()
		}
		return checkFields(fields, v, depth)
	}, sends && !isPointer, nil
}

// named is for a field that JSON has by its name.
func (s *structCompiler) named(f fieldCheck, sf reflect.StructField, name string, options []string) (_ fieldCheck, sends bool, err error) {
	if !sf.IsExported() {
		if sf.Name == "_" || sf.Type.Size() == 0 {
			return f, false, nil // nothing is in it
		}
		return f, false, errors.New("the field is not exported, and JSON would leave it out; tag it `json:\"-\"` if that is meant")
	}
	if name == "" {
		name = sf.Name
	}
	if s.names[name] {
		return f, false, fmt.Errorf("two fields are %q in JSON, which has one of them at most", name)
	}
	s.names[name] = true
	if f.check, err = s.value(sf.Type, s.addressable); err != nil {
		return f, false, err
	}
	if slices.Contains(options, "string") {
		if err := s.quotes(sf.Type); err != nil {
			return f, false, err
		}
	}
	empty, zero := slices.Contains(options, "omitempty"), slices.Contains(options, "omitzero")
	f.omits = omits(sf.Type, empty, zero)
	return f, !empty && !zero, nil
}

// quotes refuses the option "string" for types that encoding/json decodes by it
// and does not encode by it.
func (s *structCompiler) quotes(t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer:
		return nil
	}
	if by, err := s.methods(t, true); err != nil || by == byKind {
		return err
	}
	return fmt.Errorf("the option \"string\" does not go with the methods of %v", t)
}

// isJSONName reports whether encoding/json takes the name from a tag.
func isJSONName(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) {
			return false
		}
	}
	return s != ""
}

type isZeroer interface{ IsZero() bool }

var isZeroerType = reflect.TypeFor[isZeroer]()

// omits returns what reports whether encoding/json leaves a value out, and
// refuses those that would come back as another one. It is nil if none is left out.
func omits(t reflect.Type, empty, zero bool) func(reflect.Value) (bool, error) {
	if !empty && !zero {
		return nil
	}
	return func(v reflect.Value) (bool, error) {
		if !(empty && isEmpty(v) || zero && isZero(t, v)) {
			return false, nil
		}
		if !isExactlyZero(v) {
			return false, errors.New("omitempty or omitzero would drop a value that is not the zero value")
		}
		return true, nil
	}
}

// isEmpty is omitempty's condition.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isZero is omitzero's condition.
func isZero(t reflect.Type, v reflect.Value) bool {
	switch {
	case t.Kind() == reflect.Pointer && v.IsNil():
		return true
	case t.Implements(isZeroerType):
		return v.Interface().(isZeroer).IsZero()
	case reflect.PointerTo(t).Implements(isZeroerType):
		p := reflect.New(t)
		p.Elem().Set(v)
		return p.Interface().(isZeroer).IsZero()
	}
	return v.IsZero()
}

// isExactlyZero is v.IsZero, to which -0 is a zero.
func isExactlyZero(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(v.Float()) == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if !isExactlyZero(v.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Array:
		for i := range v.Len() {
			if !isExactlyZero(v.Index(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}
