package server

import (
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestHandlersAndTableAgree: each method of the table has a handler, and each handler a method.
func TestHandlersAndTableAgree(t *testing.T) {
	for _, m := range rpc.Methods {
		if handlers[m.Name] == nil {
			t.Errorf("%s has no handler", m.Name)
		}
	}
	for name := range handlers {
		if rpc.LookupMethod(name) == nil {
			t.Errorf("%s is not in the table", name)
		}
	}
}
