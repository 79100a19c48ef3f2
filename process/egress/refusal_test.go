package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestFailureCauses(t *testing.T) {
	opError := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for err, want := range map[error]failureCause{
		opError(syscall.ECONNREFUSED): connectionRefused, opError(syscall.ENETUNREACH): networkUnreachable,
		opError(syscall.EHOSTUNREACH): hostUnreachable, opError(syscall.ETIMEDOUT): connectionTimeout,
		opError(os.ErrDeadlineExceeded): connectionTimeout, context.DeadlineExceeded: connectionTimeout,
		opError(syscall.EACCES): cannotConnect,
	} {
		if got := connectCause(err); got != want {
			t.Errorf("%v: %d, not %d", err, got, want)
		}
	}
	for err, want := range map[error]failureCause{
		&net.DNSError{IsNotFound: true}: noSuchHost, &net.DNSError{IsTimeout: true}: resolverTimeout,
		&net.DNSError{IsTemporary: true}: resolverFailed, errors.New("other"): resolverFailed,
		fmt.Errorf("lookup: %w", context.DeadlineExceeded): resolverTimeout,
	} {
		if got := lookupCause(err); got != want {
			t.Errorf("%v: %d, not %d", err, got, want)
		}
	}
}
