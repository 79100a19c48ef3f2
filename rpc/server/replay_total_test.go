//go:build linux

package server_test

import (
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestReplayTotalBoundsMemory: the logs of many sessions without a client, running and ended,
// stay within about the bound. All records are there, and the lost output is reported exactly.
func TestReplayTotalBoundsMemory(t *testing.T) {
	const size = 2000000
	s := serve(t, func(set *settings) { set.Session.ReplayTotal, set.NoSpool = 1<<20, true })
	p := s.dial(t)
	var ids []string
	flat(t, 10<<20, func() {
		for range 30 {
			ids = append(ids, s.kept(t, object{"command": "yes 0123456 | head -c 2000000"}))
		}
		s.idle()
	})
	lost := 0
	for _, id := range ids {
		x := &transcript{id: id, hash: func(string, []byte) {}}
		p.ok("attach", object{"session_id": id}, nil)
		p.follow(x)
		if len(x.gaps) != 1 || x.gaps[0].Reason != rpc.GapReplayWindow || x.gaps[0].LostBytes+x.bytes["stdout"] != size || *x.record.ExitCode != 0 {
			t.Fatalf("%d bytes, %+v, %+v", x.bytes["stdout"], x.gaps, x.record)
		}
		if x.bytes["stdout"] == 0 {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no ended log was evicted")
	}
}
