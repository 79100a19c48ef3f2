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
