package server

import (
	"cmp"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/time/rate"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Refused counts the refusals of one peer in one second, for Options.Refused.
type Refused struct {
	Peer      access.Peer // of a Unix socket
	Address   netip.Addr  // of TCP
	Forwarded netip.Addr  // of the client, as a trusted proxy reports it
	Reason    string      // of the newest one
	Detail    string      // of the newest one: why its credential was refused, or ""
	Status    int         // of the newest one: of HTTP, or 0
	Count     int
	// Reasons is how many there are of each detail, or of each reason without one. There are only a few
	// different ones.
	Reasons map[string]int
}

// refusedPeer identifies a peer whose requests are refused. The zero value stands for those that do
// not fit into the table.
type refusedPeer struct {
	unix      bool
	uid       int // of a Unix socket; -1 is unknown
	address   netip.Addr
	forwarded netip.Addr
}

// String returns how a peer without a port is logged.
func (p refusedPeer) String() string {
	switch {
	case p.forwarded.IsValid():
		return p.forwarded.String()
	case p.unix:
		return "uid " + strconv.Itoa(p.uid)
	}
	return p.address.String()
}

// key returns the peer as the table knows it: the addresses of an IPv6 network of 64 bits count as
// one, because one host usually has all of them (RFC 4291 §2.5.4).
func (p refusedPeer) key() refusedPeer {
	p.address, p.forwarded = network(p.address), network(p.forwarded)
	return p
}

func network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	prefix, _ := a.Prefix(64)
	return prefix.Addr()
}

// peerOf returns the peer of a request.
func (s *Server) peerOf(r *http.Request) refusedPeer {
	p := refusedPeer{address: addressOf(r.RemoteAddr)}
	if peer := access.PeerOf(r.Context()); peer.Unix {
		p = refusedPeer{unix: true, uid: -1}
		if peer.Known {
			p.uid = peer.UID
		}
	}
	p.forwarded, _ = s.o.Proxies.Client(r)
	return p
}

// addressOf returns the address of host:port, or an invalid one.
func addressOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	return at.Addr().Unmap()
}

// The bounds of refusals by peer.
const (
	// maxRefusedPeers bounds the table. Further peers are counted and limited as one.
	maxRefusedPeers = 1024
	// failureRate and failureBurst bound the refused requests of one peer that are answered with
	// their reason.
	failureRate  = 10
	failureBurst = 50
)

// refusedPeers counts the refusals by peer and reports them once a second, and bounds the rate of
// their answers. Its methods may be called concurrently.
type refusedPeers struct {
	report    func(Refused) // may be nil
	reporting sync.Mutex    // held during flush, so that close waits for a report

	mu    sync.Mutex
	peers map[refusedPeer]*peerRefusals
	timer flushTimer
}

// peerRefusals is an element of the table. It is removed when it reports nothing and its limiter is
// as new.
type peerRefusals struct {
	refused Refused // since the last report
	limiter *rate.Limiter
}

func newRefusedPeers(report func(Refused)) *refusedPeers {
	t := &refusedPeers{report: report, peers: make(map[refusedPeer]*peerRefusals)}
	t.timer = flushTimer{flush: t.flush, pause: refusalPause}
	return t
}

// add counts a refusal. It returns false if the peer has had more than its share of answers.
func (t *refusedPeers) add(peer refusedPeer, why *access.Refusal) (answer bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(peer)
	r := &e.refused
	r.Reason, r.Detail, r.Status = why.Reason, why.Detail, why.Status
	r.Count++
	if r.Reasons == nil {
		r.Reasons = make(map[string]int)
	}
	r.Reasons[cmp.Or(why.Detail, why.Reason)]++
	return e.limiter.Allow()
}

// entry returns the element of a peer. t.mu is held.
func (t *refusedPeers) entry(peer refusedPeer) *peerRefusals {
	key := peer.key()
	if e := t.peers[key]; e != nil {
		return e
	}
	if len(t.peers) >= maxRefusedPeers {
		peer, key = refusedPeer{}, refusedPeer{}
		if e := t.peers[key]; e != nil {
			return e
		}
	}
	e := &peerRefusals{limiter: rate.NewLimiter(failureRate, failureBurst)}
	e.refused = Refused{Address: peer.address, Forwarded: peer.forwarded}
	if peer.unix {
		e.refused.Peer = access.Peer{Unix: true, Known: peer.uid >= 0, UID: max(peer.uid, 0)}
	}
	t.peers[key] = e
	t.timer.added()
	return e
}

// flush reports what was counted, and removes the elements that are not needed any more.
func (t *refusedPeers) flush() {
	t.reporting.Lock()
	defer t.reporting.Unlock()
	t.mu.Lock()
	var all []Refused
	for key, e := range t.peers {
		if e.refused.Count > 0 {
			all = append(all, e.refused)
			e.refused.Count, e.refused.Reasons = 0, nil
		} else if e.limiter.Tokens() >= failureBurst {
			delete(t.peers, key)
		}
	}
	t.timer.flushed(len(t.peers))
	t.mu.Unlock()
	if t.report == nil {
		return
	}
	for _, r := range all {
		t.report(r)
	}
}

// close reports what was not reported yet. No timer is started afterwards.
func (t *refusedPeers) close() {
	t.mu.Lock()
	t.timer.close()
	t.mu.Unlock()
	t.flush()
}
