package egress

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// connect connects to an address. It involves no resolver and no other proxy.
func connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
}

// reach checks a target, resolves its name, and connects to one of the addresses that are
// permitted. The error is a *refusal or *failure, which is recorded, or errClosed.
func (p *Proxy) reach(t target) (*link, error) {
	if !p.allow.permits(t.host, t.port) {
		return nil, p.refuse(&refusal{target: t, reason: NotListed})
	}
	addrs, err := p.addresses(t)
	if err != nil {
		return nil, err
	}
	conn, addr, err := p.dial(addrs, t.port)
	if err != nil {
		return nil, p.fail(t, connectCause(err))
	}
	if !p.track(conn) {
		return nil, errClosed
	}
	p.record.connected(t, addr)
	return &link{Conn: conn, proxy: p, target: t, addr: addr}, nil
}

func (p *Proxy) refuse(e *refusal) error {
	p.record.refused(e)
	return e
}

func (p *Proxy) fail(t target, cause failureCause) error {
	if p.ctx.Err() != nil {
		return errClosed
	}
	p.record.failed(t)
	return &failure{target: t, cause: cause}
}

// addresses returns the addresses of a listed target that may be connected to.
func (p *Proxy) addresses(t target) ([]netip.Addr, error) {
	if t.addr.IsValid() {
		return []netip.Addr{t.addr}, nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, resolveTime)
	defer cancel()
	found, err := p.resolver.LookupNetIP(ctx, "ip", t.host)
	if err != nil {
		return nil, p.fail(t, lookupCause(err))
	}
	if len(found) == 0 {
		return nil, p.fail(t, noSuchHost)
	}
	var permitted []netip.Addr
	for _, addr := range found {
		addr = addr.Unmap()
		if p.allow.permitsAddress(addr, t.port) && len(permitted) < maxAddresses {
			permitted = append(permitted, addr)
		}
	}
	if permitted == nil {
		return nil, p.refuse(&refusal{target: t, reason: NotPublic, addr: found[0].Unmap()})
	}
	return permitted, nil
}

type attempt struct {
	conn net.Conn
	addr netip.Addr
	err  error
}

// dial connects to the first address that accepts. Each is tried when the one before has failed, or
// is not decided after a short time (RFC 8305). It waits for all attempts. The error is that of the
// first address that failed. An attempt at the same time as another one needs room of the budget.
func (p *Proxy) dial(addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialTime)
	defer cancel()
	results := make(chan attempt)
	next := time.NewTimer(0)
	defer next.Stop()
	var won attempt
	room := 0 // that was taken from the budget
	for begun, ended := 0, 0; begun < len(addrs) || ended < begun; {
		select {
		case <-next.C:
			if won.conn != nil || begun == len(addrs) {
				break
			}
			if begun-ended > room {
				if !p.budget.TryTake() {
					next.Reset(dialDelay)
					break
				}
				room++
			}
			addr := addrs[begun]
			begun++
			next.Reset(dialDelay)
			go func() {
				conn, err := p.dialAddr(ctx, netip.AddrPortFrom(addr, port))
				results <- attempt{conn, addr, err}
			}()
		case a := <-results:
			ended++
			switch {
			case a.err != nil && won.err == nil:
				won.err = a.err
				next.Reset(0)
			case a.err != nil:
				next.Reset(0)
			case won.conn != nil:
				a.conn.Close()
			default:
				won = a
				addrs = addrs[:begun]
				cancel()
			}
			open := begun - ended
			if won.conn != nil {
				open++
			}
			if room > 0 && room >= open { // one of them needs none
				p.budget.Release()
				room--
			}
		}
	}
	if won.conn != nil {
		return won.conn, won.addr, nil
	}
	return nil, netip.Addr{}, won.err
}
