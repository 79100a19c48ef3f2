package server

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// TestRefusedPeersAreReportedOncePerSecond: there is one report for each peer and second, with the
// number of refusals.
func TestRefusedPeersAreReportedOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		p := newRefusedPeers(func(r Refused) { got = append(got, fmt.Sprint(r.Address, r.Peer.UID, r.Status, r.Count)) })
		wantReports := func(want ...string) {
			t.Helper()
			time.Sleep(refusalPause)
			synctest.Wait()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("reported %q, want %q", got, want)
			}
			got = nil
		}
		a := refusedPeer{address: netip.MustParseAddr("192.0.2.1")}
		for range 1000 {
			p.add(a, &access.Refusal{Reason: "no token", Status: 401})
		}
		p.add(refusedPeer{unix: true, uid: 7}, &access.Refusal{Reason: "another user's process", Status: 403})
		p.add(refusedPeer{address: netip.MustParseAddr("2001:db8::1")}, &access.Refusal{Reason: "no token", Status: 401})
		p.add(refusedPeer{address: netip.MustParseAddr("2001:db8::2")}, &access.Refusal{Reason: "no token", Status: 401}) // the same network
		wantReports("192.0.2.1 0 401 1000", "2001:db8::1 0 401 2", "invalid IP 7 403 1")
		wantReports()
		p.add(a, &access.Refusal{Reason: "no token", Status: 403})
		p.close()
		wantReports("192.0.2.1 0 403 1")
	})
}

// TestRefusedPeersHaveReasons: a report has the reason and the detail of the newest refusal, and how
// many there were of each.
func TestRefusedPeersHaveReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Refused
		p := newRefusedPeers(func(r Refused) { got = append(got, r) })
		a := refusedPeer{address: netip.MustParseAddr("192.0.2.1")}
		for range 3 {
			p.add(a, &access.Refusal{Reason: "no token", Detail: "wrong", Status: 401})
		}
		p.add(a, &access.Refusal{Reason: "Host", Status: 403})
		p.add(a, &access.Refusal{Reason: "no token", Detail: "expired", Status: 401})
		time.Sleep(refusalPause)
		synctest.Wait()
		p.add(a, &access.Refusal{Reason: "Host", Status: 403})
		p.close()
		want := []Refused{
			{Address: a.address, Reason: "no token", Detail: "expired", Status: 401, Count: 5, Reasons: map[string]int{"wrong": 3, "Host": 1, "expired": 1}},
			{Address: a.address, Reason: "Host", Status: 403, Count: 1, Reasons: map[string]int{"Host": 1}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("reported\n%+v, want\n%+v", got, want)
		}
	})
}

// TestRefusedPeersAreLimited: a peer is answered at a bounded rate, which does not depend on that of
// others. An element of the table is removed when its peer may be answered as often as a new one.
func TestRefusedPeersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRefusedPeers(nil)
		defer p.close()
		answered := func(peer refusedPeer, n int) (answers int) {
			for range n {
				if p.add(peer, &access.Refusal{Reason: "no token", Status: 401}) {
					answers++
				}
			}
			return answers
		}
		a, b := refusedPeer{address: netip.MustParseAddr("192.0.2.1")}, refusedPeer{unix: true, uid: 1}
		if n := answered(a, 1000); n != failureBurst {
			t.Errorf("%d answers at once", n)
		}
		if n := answered(b, 10); n != 10 {
			t.Errorf("%d answers for another peer", n)
		}
		time.Sleep(time.Second)
		if n := answered(a, 1000); n != failureRate {
			t.Errorf("%d answers in a second", n)
		}
		time.Sleep(failureBurst/failureRate*time.Second + 3*refusalPause)
		synctest.Wait()
		if len(p.peers) != 0 || p.timer.timer != nil {
			t.Errorf("%d peers are left", len(p.peers))
		}
		if n := answered(a, 1000); n != failureBurst {
			t.Errorf("%d answers after a while", n)
		}
	})
}

// TestRefusedPeersAreBounded: peers that do not fit into the table are counted as one.
func TestRefusedPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []string
		others := 0
		p := newRefusedPeers(func(r Refused) {
			reports = append(reports, r.Address.String())
			if !r.Address.IsValid() {
				others = r.Count
			}
		})
		for i := range 5 * maxRefusedPeers {
			p.add(refusedPeer{address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, &access.Refusal{Reason: "no token", Status: 401})
		}
		p.close()
		if len(reports) != maxRefusedPeers+1 || others != 4*maxRefusedPeers {
			t.Errorf("%d reports, %d others: %.100s", len(reports), others, strings.Join(reports, " "))
		}
	})
}
