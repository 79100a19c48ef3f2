//go:build linux

package process

import (
	"errors"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap"
	"github.com/runnel-rpc/runnel/process/internal/landlock"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestOtherUserInContainer checks that a root without privileges, as that of a container, refuses a
// command of another user for the true reason, and makes the same sandbox for its own user.
func TestOtherUserInContainer(t *testing.T) {
	m := machine{landlockAlone: landlock.Support()}
	m.bwrap = bubblewrap.Support{UserNS: true, WhyNotPlain: "root lacks CAP_SYS_ADMIN here"}
	if how, _, err := m.choose(readOnly(), false); err != nil || !how.userNS {
		t.Errorf("%+v, %v", how, err)
	}
	_, _, err := m.choose(readOnly(), true)
	refused, ok := errors.AsType[*sandbox.NotEnforceableError](err)
	if !ok || !strings.Contains(refused.Why, "another user") || !strings.Contains(refused.Why, m.bwrap.WhyNotPlain) {
		t.Errorf("%v", err)
	}
}

// TestSharedProcessesNeedMore checks that processes are shared only if something else keeps the command
// from the root directories of other processes.
func TestSharedProcessesNeedMore(t *testing.T) {
	both := bubblewrap.Support{Plain: true, UserNS: true}
	for _, test := range []struct {
		m         machine
		otherUser bool
		want      method // the zero value is that it cannot be enforced
	}{
		{machine{bwrap: both, inside: true}, true, method{namespaces: true, landlock: true}},
		{machine{bwrap: both}, false, method{namespaces: true, userNS: true}},
		{machine{bwrap: both}, true, method{}},
		{machine{bwrap: bubblewrap.Support{Plain: true}}, false, method{}},
		{machine{bwrap: bubblewrap.Support{UserNS: true}}, false, method{namespaces: true, userNS: true}},
	} {
		how, _, err := test.m.choose(sharing(), test.otherUser)
		e, refused := errors.AsType[*sandbox.NotEnforceableError](err)
		if refused != (test.want == method{}) || refused && e.Field != "processes" || !refused && how != test.want {
			t.Errorf("%+v, another user %v: %+v, %v", test.m.bwrap, test.otherUser, how, err)
		}
	}
}
