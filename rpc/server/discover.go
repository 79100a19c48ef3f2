package server

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/openrpc"
)

// document returns the OpenRPC document on one line.
var document = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(openrpc.Document())); err != nil {
		panic(err)
	}
	return b.Bytes()
})

func discover(r *request, p *rpc.NoParams) answer {
	return result(lazyResult(document), nil)
}
