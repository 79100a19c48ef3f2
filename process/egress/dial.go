package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// connect connects to an address. It involves no resolver and no other proxy.
func connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
}

// outbound connects to the targets that a list permits.
type outbound struct {
	allow    allowList
	resolver Resolver
	dialAddr func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	budget   Budget
}

// complete sets what was left out.
func (o *outbound) complete() {
	if o.budget == nil {
		o.budget = unbounded{}
	}
	if o.resolver == nil {
		o.resolver = &net.Resolver{PreferGo: true}
	}
	if o.dialAddr == nil {
		o.dialAddr = connect
	}
}

// reach checks a target, resolves its name, and connects to one of the addresses that are
// permitted. The error is a *refusal or *failure.
func (o *outbound) reach(ctx context.Context, t target) (net.Conn, netip.Addr, error) {
	if !o.allow.permits(t.host, t.port) {
		return nil, netip.Addr{}, &refusal{target: t, reason: NotListed}
	}
	addrs, err := o.addresses(ctx, t)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	conn, addr, err := o.dial(ctx, addrs, t.port)
	if err != nil {
		return nil, netip.Addr{}, &failure{target: t, cause: connectCause(err)}
	}
	return conn, addr, nil
}

// reach is outbound.reach for the proxy, which records the connection or the error. The error is
// errClosed after Close.
func (p *Proxy) reach(t target) (*link, error) {
	conn, addr, err := p.outbound.reach(p.ctx, t)
	if err != nil {
		return nil, p.recordError(t, err)
	}
	if !p.track(conn) {
		return nil, errClosed
	}
	p.record.connected(t, addr)
	return &link{Conn: conn, proxy: p, target: t, addr: addr}, nil
}

// recordError records why a target was not reached.
func (p *Proxy) recordError(t target, err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		p.record.refused(refused)
		return err
	}
	if p.ctx.Err() != nil {
		return errClosed
	}
	p.record.failed(t)
	return err
}

// addresses returns the addresses of a listed target that may be connected to.
func (o *outbound) addresses(ctx context.Context, t target) ([]netip.Addr, error) {
	if t.addr.IsValid() {
		return []netip.Addr{t.addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	found, err := o.resolver.LookupNetIP(ctx, "ip", t.host)
	if err != nil {
		return nil, &failure{target: t, cause: lookupCause(err)}
	}
	if len(found) == 0 {
		return nil, &failure{target: t, cause: noSuchHost}
	}
	var permitted []netip.Addr
	for _, addr := range found {
		addr = addr.Unmap()
		if o.allow.permitsAddress(addr, t.port) && len(permitted) < maxAddresses {
			permitted = append(permitted, addr)
		}
	}
	if permitted == nil {
		return nil, &refusal{target: t, reason: NotPublic, addr: found[0].Unmap()}
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
func (o *outbound) dial(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
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
				if !o.budget.TryTake() {
					next.Reset(dialDelay)
					break
				}
				room++
			}
			addr := addrs[begun]
			begun++
			next.Reset(dialDelay)
			go func() {
				conn, err := o.dialAddr(ctx, netip.AddrPortFrom(addr, port))
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
				o.budget.Release()
				room--
			}
		}
	}
	if won.conn != nil {
		return won.conn, won.addr, nil
	}
	return nil, netip.Addr{}, won.err
}
