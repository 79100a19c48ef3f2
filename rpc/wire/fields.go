package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Rules are what the tags of a field require of its value, see [DecodeParams].
type Rules struct {
	Required bool
	NonEmpty bool
	Enum     []string
	Min, Max string // as in the tags, empty if there is no bound

	low, high float64
}

// allow reports whether n is in range. Because bounds are within 2^53, this is exact for integers
// too.
func (r Rules) allow(n float64) bool {
	return (r.Min == "" || n >= r.low) && (r.Max == "" || n <= r.high)
}

// bounds returns the text of the error of a value that is out of range.
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

// plan is what the decoder has to know of a type.
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

// plans holds a *plan for each reflect.Type that was decoded into. Its size is bounded by the types
// of the program.
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

// newPlan panics if t is not a type that the decoder supports.
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

// field returns the index of the field with this name, a JSON string.
func (p *plan) field(name []byte) (i int, ok bool) {
	if bytes.IndexByte(name, '\\') < 0 {
		i, ok = p.byName[string(name[1:len(name)-1])] // the compiler makes no copy for a map lookup
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
