//go:build linux

package server_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// documentedErrors has the codes that the document tells of each method.
var documentedErrors = sync.OnceValue(func() map[string][]int {
	var d struct {
		Methods []struct {
			Name   string
			Errors []struct {
				Ref string `json:"$ref"`
			}
		}
		Components struct{ Errors map[string]struct{ Code int } }
	}
	if err := json.Unmarshal(rpc.Document(), &d); err != nil {
		panic(err)
	}
	codes := map[string][]int{}
	for _, m := range d.Methods {
		for _, e := range m.Errors {
			name := e.Ref[strings.LastIndexByte(e.Ref, '/')+1:]
			codes[m.Name] = append(codes[m.Name], d.Components.Errors[name].Code)
		}
	}
	return codes
})

// asDocumented checks what the server answers to any call of these tests: the code of an error is one that the
// document tells of the method, and its data and a result have no member that the document does not know.
func (p *peer) asDocumented(method string, answer *message) {
	p.t.Helper()
	m := rpc.LookupMethod(method)
	switch {
	case m == nil || m.Notification:
	case answer.Error != nil:
		if e := answer.Error; !slices.Contains(documentedErrors()[method], e.Code) || !knownData(e) {
			p.t.Errorf("%s does not document this: %.600s", method, answer.text)
		}
	case !slices.ContainsFunc(m.Results, answer.fits) && (m.Results != nil || string(answer.Result) != "null"):
		p.t.Errorf("%s does not document this: %.600s", method, answer.text)
	}
}

// fits reports whether the result is a t, all of it.
func (m *message) fits(t reflect.Type) bool {
	if t == reflect.TypeFor[rpc.OpenRPC]() {
		return true // as it is compared to the document
	}
	d := json.NewDecoder(strings.NewReader(string(m.Result)))
	d.DisallowUnknownFields()
	return d.Decode(reflect.New(t).Interface()) == nil
}

// knownData reports whether the data of an error is as its row of the error table says.
func knownData(e *wireError) bool {
	row := rpc.Errors[slices.IndexFunc(rpc.Errors, func(f rpc.ErrorForm) bool { return f.Code == e.Code })]
	kind, _ := e.Data["kind"].(string)
	members := 1
	for _, d := range row.Data {
		if _, ok := e.Data[d.Name]; ok {
			members++
		} else if !d.Optional {
			return false
		}
	}
	return slices.Contains(row.Kinds, kind) && members == len(e.Data)
}
