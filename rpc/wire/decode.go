package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// DecodeParams decodes the params of a request into dst, a pointer to a struct. raw must be UTF-8:
// an object, or the positional form, an array of at most one object. An empty text, null and an
// empty array stand for an object without members. dst does not refer to raw afterwards.
//
// It is stricter than encoding/json. The name of a member must equal the json tag of a field; an
// unknown name is an error unless lenient is set. If a name occurs several times, the last value
// counts. A member that is null counts as left out, unless the type of its field is a
// [json.Unmarshaler], which then receives the null. A field that is left out keeps its value. A
// string, or a key of a map, with the escape of a lone surrogate ("\udce9") is an error, because it
// is not text; a [json.Unmarshaler] has to check its own strings. An integer may be written 1.0 or
// 1e3.
//
// The tags of a field restrict its value:
//
//	rpc:"required"     it must not be left out
//	rpc:"nonempty"     a string that must not be empty; also "required,nonempty"
//	enum:"a,b,c"       a string that must be one of these
//	min:"1" max:"64"   a number in this range; either may be missing, neither may be beyond 2^53
//
// The types of fields are strings, booleans, signed integers, floats, interfaces without methods,
// structs, pointers to, slices of and string-keyed maps of those, and types that implement
// [json.Unmarshaler]. The text of the errors of a [json.Unmarshaler] continues a sentence: "must
// not be empty".
//
// An error names the field by its path, as in limits.cpu_seconds or command[1], or "params"; the
// content of dst is then undefined. DecodeParams panics if dst has a field of another type. It may
// be called concurrently.
func DecodeParams(raw []byte, dst any, lenient bool) *FieldError {
	object, err := paramsObject(raw)
	if err == nil {
		err = decoder{lenient}.object(object, reflect.ValueOf(dst).Elem())
	}
	if err == nil {
		return nil
	}
	var f *FieldError
	if !errors.As(err, &f) {
		f = fieldErrorf("are not valid JSON: %s", err)
	}
	if f.Field == "" {
		f.Field = "params"
	}
	return f
}

// Decode decodes raw, one valid JSON value without white space around it, into the value that dst
// points to, under the rules of [DecodeParams]. Implementations of [json.Unmarshaler] use it for
// parts of their value. An error is a [*FieldError]; its Field is empty if it is about the value as
// a whole.
func Decode(raw []byte, dst any) error {
	return decoder{}.value(raw, reflect.ValueOf(dst).Elem(), Rules{})
}

// paramsObject checks the syntax of params and returns their object.
func paramsObject(raw []byte) ([]byte, error) {
	s := scanner{text: raw}
	if s.space(); s.at == len(raw) {
		return []byte("{}"), nil
	}
	var object []byte
	var err error
	items := 0
	switch s.peek() {
	case '[':
		err = s.elements(func() (err error) {
			items++
			object, err = s.value()
			return err
		})
	case 'n':
		_, err = s.value()
	default:
		items++
		object, err = s.value()
	}
	if err == nil {
		err = s.end()
	}
	switch {
	case err != nil:
		return nil, err
	case items == 0:
		return []byte("{}"), nil
	case items > 1 || KindOf(object) != Object:
		return nil, fieldErrorf("must be an object, or an array of one object")
	}
	return object, nil
}

// FieldError reports what is wrong with a field. A [json.Unmarshaler] may return one that names a
// part of its value.
type FieldError struct {
	Field string   // the path from the value that is decoded, as in limits.cpu_seconds
	Text  string   // what is wrong, as in "must be a string"
	Known []string // the values that the field takes, if they are few
}

// Error returns the path and the text, which make a sentence.
func (e *FieldError) Error() string { return strings.TrimPrefix(e.Field+" "+e.Text, " ") }

func fieldErrorf(format string, args ...any) *FieldError {
	return &FieldError{Text: fmt.Sprintf(format, args...)}
}

// asFieldError returns the error of a [json.Unmarshaler] as a FieldError. It may already be one.
func asFieldError(err error) error {
	if f, ok := err.(*FieldError); ok {
		return f
	}
	return fieldErrorf("%s", err)
}

// within prefixes the path of a FieldError with the name of a field, a key, or an index in
// brackets.
func within(name string, err error) error {
	if f, ok := err.(*FieldError); ok {
		if f.Field != "" && f.Field[0] != '[' {
			name += "."
		}
		f.Field = name + f.Field
	}
	return err
}

// decoder decodes valid JSON. All its errors are of type *FieldError.
//
// It is written for the rules of DecodeParams, which need to know whether a member was present,
// keep only the last of several with one name, accept 1e3 as an integer, and name the field in an
// error. A general decoder has none of these, so a layer over one would be as long as this decoder.
type decoder struct{ lenient bool }

// value decodes raw into v, which must be addressable, and applies the rules of its field.
func (d decoder) value(raw []byte, v reflect.Value, r Rules) error {
	if planOf(v.Type()).custom {
		if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
			return asFieldError(err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		return decodeString(raw, v, r)
	case reflect.Bool:
		return decodeBool(raw, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return decodeInteger(raw, v, r)
	case reflect.Float32, reflect.Float64:
		return decodeFloat(raw, v, r)
	case reflect.Interface:
		return decodeAny(raw, v)
	case reflect.Pointer:
		return d.pointer(raw, v, r)
	case reflect.Slice:
		return d.slice(raw, v)
	case reflect.Map:
		return d.mapping(raw, v)
	default:
		return d.object(raw, v)
	}
}

// pointer decodes null to nil, and otherwise into a new value.
func (d decoder) pointer(raw []byte, v reflect.Value, r Rules) error {
	v.SetZero()
	if KindOf(raw) == Null {
		return nil
	}
	v.Set(reflect.New(v.Type().Elem()))
	return d.value(raw, v.Elem(), r)
}

// slice decodes an array.
func (d decoder) slice(raw []byte, v reflect.Value) error {
	if KindOf(raw) != Array {
		return fieldErrorf("must be an array")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	s := scanner{text: raw}
	return s.elements(func() error {
		element, err := s.value()
		if err != nil {
			return err
		}
		i := v.Len()
		v.Grow(1)
		v.SetLen(i + 1)
		return within("["+strconv.Itoa(i)+"]", d.value(element, v.Index(i), Rules{}))
	})
}

// mapping decodes an object into a map.
func (d decoder) mapping(raw []byte, v reflect.Value) error {
	if KindOf(raw) != Object {
		return fieldErrorf("must be an object")
	}
	v.Set(reflect.MakeMap(v.Type()))
	s := scanner{text: raw}
	return s.members(func(name []byte) error {
		raw, err := s.value()
		if err != nil {
			return err
		}
		key, err := textValue(name)
		if err != nil {
			return fieldErrorf("has a name that %s", err)
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(raw, value, Rules{}); err != nil {
			return within(Clip(key, maxNameShown), err)
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		return nil
	})
}

// maxNameShown is the most bytes of an unknown name that an error repeats.
const maxNameShown = 128

// object decodes an object into a struct. It finds the members first, because only the last of a
// name counts.
func (d decoder) object(raw []byte, v reflect.Value) error {
	if KindOf(raw) != Object {
		return fieldErrorf("must be an object")
	}
	p := planOf(v.Type())
	values := make([][]byte, len(p.fields))
	s := scanner{text: raw}
	err := s.members(func(name []byte) error {
		value, err := s.value()
		if i, ok := p.field(name); ok {
			values[i] = value
		} else if err == nil && !d.lenient {
			err = within(Clip(stringValue(name), maxNameShown), fieldErrorf("is an unknown field"))
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range p.fields {
		f := &p.fields[i]
		if values[i] == nil && !f.rules.Required {
			continue // most fields of most requests
		}
		if err := d.member(values[i], v.FieldByIndex(f.index), f); err != nil {
			return within(f.name, err)
		}
	}
	return nil
}

// member decodes the value of a field; raw is nil if it is left out.
func (d decoder) member(raw []byte, v reflect.Value, f *field) error {
	if raw == nil || KindOf(raw) == Null && !f.takesNull {
		if f.rules.Required {
			return fieldErrorf("is required")
		}
		return nil
	}
	return d.value(raw, v, f.rules)
}

func decodeString(raw []byte, v reflect.Value, r Rules) error {
	if KindOf(raw) != String {
		return fieldErrorf("must be a string")
	}
	s, err := textValue(raw)
	if err != nil {
		return err
	}
	if r.NonEmpty && s == "" {
		return fieldErrorf("must not be empty")
	}
	if r.Enum != nil && !slices.Contains(r.Enum, s) {
		return &FieldError{Text: "must be one of " + strings.Join(r.Enum, ", "), Known: r.Enum}
	}
	v.SetString(s)
	return nil
}

func decodeBool(raw []byte, v reflect.Value) error {
	if KindOf(raw) != Bool {
		return fieldErrorf("must be true or false")
	}
	v.SetBool(raw[0] == 't')
	return nil
}

func decodeInteger(raw []byte, v reflect.Value, r Rules) error {
	if KindOf(raw) != Number {
		return fieldErrorf("must be a whole number")
	}
	digits, whole := wholeNumber(raw)
	if !whole {
		return fieldErrorf("must be a whole number")
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err == nil && !r.allow(float64(n)) || r.Max != "" && err != nil {
		return fieldErrorf("%s", r.bounds())
	}
	if err != nil || v.OverflowInt(n) {
		return fieldErrorf("is out of range")
	}
	v.SetInt(n)
	return nil
}

func decodeFloat(raw []byte, v reflect.Value, r Rules) error {
	if KindOf(raw) != Number {
		return fieldErrorf("must be a number")
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || v.OverflowFloat(n) || !r.allow(n) {
		return fieldErrorf("%s", r.bounds())
	}
	v.SetFloat(n)
	return nil
}

// decodeAny decodes a value of any type, as encoding/json does.
func decodeAny(raw []byte, v reflect.Value) error {
	if hasLoneSurrogate(raw) {
		return errLoneSurrogate()
	}
	if json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return fieldErrorf("contains a number that is out of range") // the only error of valid JSON
	}
	return nil
}

// maxDigits is more than an int64 has.
const maxDigits = 20

// wholeNumber returns a JSON number without point and exponent; ok is false if it has a fraction. A
// number beyond int64 remains so, but its zeros are not all written: 1e1000000000 must not need
// memory.
func wholeNumber(raw []byte) (digits string, ok bool) {
	const maxExponent = 1 << 30 // more than the length of any message
	mantissa, exponent := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		n, _ := strconv.Atoi(string(raw[i+1:])) // the largest int if it is out of range
		mantissa, exponent = raw[:i], max(-maxExponent, min(n, maxExponent))
	}
	whole, fraction, _ := strings.Cut(string(mantissa), ".")
	all := whole + fraction
	digits = strings.TrimRight(all, "0")
	exponent += len(all) - len(digits) - len(fraction)
	switch {
	case digits == "" || digits == "-":
		return "0", true
	case exponent < 0:
		return "", false
	}
	return digits + strings.Repeat("0", min(exponent, maxDigits)), true
}
