package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// DecodeParams decodes the raw params of a call into dst, a pointer to a struct. raw is an object, or an
// array of at most one object, its positional form; nil, null and an empty array stand for an object
// without members. That raw is UTF-8 must be known. Nothing in dst points into raw afterwards.
//
// It is stricter than encoding/json: a member must be named exactly as the json tag of a field; one that
// no field has is an error, unless lenient. Of several of one name the last counts. A member that is null
// counts as left out, unless the type of its field is a [json.Unmarshaler] and so has its own mind. A field
// that is left out keeps its value.
//
// A string, a key of a map included, that holds the escape of a lone surrogate ("\udce9") is an error: no text
// has such a character. A [json.Unmarshaler] checks its own strings.
//
// The tags of a field may bound its value:
//
//	rpc:"required"     it must not be left out
//	rpc:"nonempty"     a string, not the empty one; also "required,nonempty"
//	enum:"a,b,c"       a string, one of these
//	min:"1" max:"64"   a number in this range; either end may be missing, neither lies beyond 2^53
//
// The types of fields are strings, booleans, signed integers, floats, interfaces without methods, structs,
// pointers to, slices of and string-keyed maps of those, and types that implement [json.Unmarshaler]. The
// text of the latters' errors continues a sentence: "must not be empty". An integer may be written 1.0 or 1e3.
//
// An error names the field by its path, as in limits.cpu_seconds or command[1], or is about "params"; dst is then
// left in any state. DecodeParams panics if dst has a type that is none of the above. It may be called concurrently.
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

// Decode decodes raw, one valid JSON value without white space around it, into the value that dst points to, under the
// rules of [DecodeParams]. Implementations of [json.Unmarshaler] use it for parts of their value. An error is a
// [*FieldError]; its Field is empty if it is about the value as a whole.
func Decode(raw []byte, dst any) error {
	return decoder{}.value(raw, reflect.ValueOf(dst).Elem(), Rules{})
}

// paramsObject checks the syntax of params and returns their one object.
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

// FieldError reports what is wrong with a field. A [json.Unmarshaler] may return one that names a part of its value.
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

// asFieldError is the error of a [json.Unmarshaler], which may itself name a part of its value.
func asFieldError(err error) error {
	if p, ok := err.(*FieldError); ok {
		return p
	}
	return fieldErrorf("%s", err)
}

// within puts name, that of a field, a key or an index, in front of the path of a FieldError.
func within(name string, err error) error {
	if p, ok := err.(*FieldError); ok {
		if p.Field != "" && p.Field[0] != '[' {
			name += "."
		}
		p.Field = name + p.Field
	}
	return err
}

// A decoder decodes JSON that is known to be valid. All errors are of type *FieldError.
type decoder struct{ lenient bool }

// value decodes raw into v, which must be addressable. The rules are those of v's field.
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
		return d.table(raw, v)
	default:
		return d.object(raw, v)
	}
}

func (d decoder) pointer(raw []byte, v reflect.Value, r Rules) error {
	v.SetZero()
	if KindOf(raw) == Null {
		return nil
	}
	v.Set(reflect.New(v.Type().Elem()))
	return d.value(raw, v.Elem(), r)
}

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

func (d decoder) table(raw []byte, v reflect.Value) error {
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

// maxNameShown is how much of a name that the client made up an error repeats.
const maxNameShown = 128

// object decodes an object into a struct: first it finds the members, then it decodes each that counts.
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
			err = within(Clip(stringValue(name), maxNameShown), fieldErrorf("is no known field"))
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, f := range p.fields {
		if err := d.member(values[i], v.FieldByIndex(f.index), f); err != nil {
			return within(f.name, err)
		}
	}
	return nil
}

// member decodes the value of a field, nil where it is left out.
func (d decoder) member(raw []byte, v reflect.Value, f field) error {
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

// decodeAny decodes what encoding/json makes of a value where no type is given.
func decodeAny(raw []byte, v reflect.Value) error {
	if hasLoneSurrogate(raw) {
		return fieldErrorf("holds a lone surrogate")
	}
	if json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return fieldErrorf("holds a number that is out of range") // nothing else can be wrong with valid JSON
	}
	return nil
}

// maxDigits is more than any int64 has.
const maxDigits = 20

// wholeNumber writes a JSON number without fraction and exponent, or reports that it has a fraction. What
// is out of the range of int64 stays so, but it is not written out to its full length.
func wholeNumber(raw []byte) (digits string, ok bool) {
	const maxExponent = 1 << 30 // beyond the length of any message
	mantissa, exponent := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		n, _ := strconv.Atoi(string(raw[i+1:])) // out of range, it is the limit
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

// Rules are what the tags of a field require of its value, see [DecodeParams].
type Rules struct {
	Required bool
	NonEmpty bool
	Enum     []string
	Min, Max string // as in the tags, empty if there is no bound

	low, high float64
}

// allow reports whether n is in range. Bounds within 2^53 make this right for integers, too.
func (r Rules) allow(n float64) bool {
	return (r.Min == "" || n >= r.low) && (r.Max == "" || n <= r.high)
}

// bounds tells the range.
func (r Rules) bounds() string {
	switch {
	case r.Min != "" && r.Max != "":
		return "must be from " + r.Min + " to " + r.Max
	case r.Min != "":
		return "must be at least " + r.Min
	case r.Max != "":
		return "must be at most " + r.Max
	}
	return "is out of range"
}

// A plan is what has to be known of a type to decode into it.
type plan struct {
	custom bool // a pointer to it is a json.Unmarshaler
	fields []field
	byName map[string]int
}

type field struct {
	name      string
	index     []int
	takesNull bool
	rules     Rules
}

// plans holds a *plan for each reflect.Type that was decoded into: never more than the program has.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, newPlan(t))
	return p.(*plan)
}

func isUnmarshaler(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// newPlan panics where t is no type to decode into.
func newPlan(t reflect.Type) *plan {
	if isUnmarshaler(t) {
		return &plan{custom: true}
	}
	p := &plan{byName: map[string]int{}}
	switch k := t.Kind(); {
	case k == reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			p.add(f)
		}
	case k == reflect.Map && t.Key().Kind() != reflect.String,
		k == reflect.Interface && t.NumMethod() > 0,
		reflect.Uint <= k && k <= reflect.Uintptr,
		slices.Contains([]reflect.Kind{reflect.Complex64, reflect.Complex128, reflect.Array, reflect.Chan, reflect.Func, reflect.UnsafePointer}, k):
		panic(fmt.Sprintf("wire: cannot decode params into %s", t))
	}
	return p
}

// add adds a field to the plan of its struct.
func (p *plan) add(f reflect.StructField) {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if f.Anonymous || !f.IsExported() || name == "-" {
		return
	}
	if name == "" {
		name = f.Name
	}
	p.byName[name] = len(p.fields)
	p.fields = append(p.fields, field{
		name:      name,
		index:     f.Index,
		takesNull: isUnmarshaler(f.Type),
		rules:     RulesOf(f),
	})
}

// field finds the field that is called name, a JSON string.
func (p *plan) field(name []byte) (i int, ok bool) {
	if bytes.IndexByte(name, '\\') < 0 {
		i, ok = p.byName[string(name[1:len(name)-1])] // makes no copy
	} else {
		i, ok = p.byName[stringValue(name)]
	}
	return i, ok
}

// RulesOf reads the tags of a field. It panics if a bound is not a number within 2^53.
func RulesOf(f reflect.StructField) Rules {
	words := strings.Split(f.Tag.Get("rpc"), ",")
	r := Rules{
		Required: slices.Contains(words, "required"),
		NonEmpty: slices.Contains(words, "nonempty"),
		Min:      f.Tag.Get("min"),
		Max:      f.Tag.Get("max"),
	}
	r.low, r.high = bound(f, r.Min), bound(f, r.Max)
	if enum := f.Tag.Get("enum"); enum != "" {
		r.Enum = strings.Split(enum, ",")
	}
	return r
}

func bound(f reflect.StructField, tag string) float64 {
	if tag == "" {
		return 0
	}
	n, err := strconv.ParseFloat(tag, 64)
	if err != nil || math.Abs(n) > 1<<53 {
		panic(fmt.Sprintf("wire: field %s has a bound %q", f.Name, tag))
	}
	return n
}

// Clip shortens s to at most n bytes and an ellipsis, without splitting a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
