package rpc

import "github.com/runnel-rpc/runnel/rpc/wire"

// DecodeParams decodes the params of a request into dst, a pointer to a struct, as
// [wire.DecodeParams] does. An error is an [InvalidParams] whose data names the field.
func DecodeParams(raw []byte, dst any, lenient bool) *Error {
	bad := wire.DecodeParams(raw, dst, lenient)
	if bad == nil {
		return nil
	}
	e := InvalidParams(bad.Field, "%s", bad)
	if data, ok := e.Data.(Data); ok && bad.Known != nil {
		data["known"] = bad.Known
	}
	return e
}

// NoParams are the params of a method that takes none.
type NoParams struct{}
