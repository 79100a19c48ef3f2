package egress

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Dialer connects to listed destinations, with the checks of a [Proxy], for a request that the server
// makes itself. Its methods may be called concurrently.
type Dialer struct{ outbound outbound }

// NewDialer returns a dialer for a list, which must not be changed. Names are resolved as by a
// proxy without Options.Resolver.
func NewDialer(allow []sandbox.Destination) *Dialer {
	d := &Dialer{outbound{allow: allow}}
	d.outbound.complete()
	return d
}

// DialContext connects to host:port by TCP; the network is ignored. The connection goes to an address
// that was checked. While it connects, it has at most two descriptors, and those of the resolver. [Refused]
// tells whether an error is about what the list does not permit.
func (d *Dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	t, err := parseTarget(address, 0)
	if err != nil {
		return nil, err
	}
	o := d.outbound
	o.budget = new(oneMore)
	conn, _, err := o.reach(ctx, t)
	return conn, err
}

// oneMore is the Budget of one call of a dialer: of the addresses of a name, which its owner chooses, two are
// tried at a time.
type oneMore struct{ taken atomic.Bool }

func (b *oneMore) TryTake() bool             { return b.taken.CompareAndSwap(false, true) }
func (b *oneMore) Take(context.Context) bool { return b.TryTake() } // is not used to connect
func (b *oneMore) Release()                  { b.taken.Store(false) }

// Refused reports whether an error of a dialer says that the destination is not permitted.
func Refused(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}
