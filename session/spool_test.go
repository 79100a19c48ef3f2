//go:build linux

package session

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/spool"
)

// commands converts the commands of the tests, which are strings or nil.
var commands = CommandCodec{
	Encode: json.Marshal,
	Decode: func(b []byte) (command any, err error) {
		err = json.Unmarshal(b, &command)
		return command, err
	},
}

// openSpool opens the spool in a directory. The caller closes it.
func openSpool(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	sp, err := spool.Open(dir, spool.Options{
		SessionBytes: 1 << 30, TotalBytes: 1 << 30, Retain: time.Hour, MaxSessions: 1000, WindowBytes: 64 << 20,
		Lost: LostRecord,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sp
}
