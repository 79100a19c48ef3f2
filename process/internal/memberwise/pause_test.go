//go:build linux

package memberwise

import (
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

func TestSortParentsFirst(t *testing.T) {
	all := []proctable.Entry{{PID: 5, Parent: 4}, {PID: 4, Parent: 9}, {PID: 8, Parent: 1}, {PID: 9, Parent: 2}, {PID: 6, Parent: 7}, {PID: 7, Parent: 6}}
	parents := sortParentsFirst(all, 9)
	at := map[int]int{}
	for i, m := range all {
		at[m.PID] = i
	}
	if all[0].PID != 9 || at[9] > at[4] || at[4] > at[5] || !parents[9] || !parents[4] || parents[5] || parents[8] {
		t.Errorf("%v, %v", all, parents)
	}
}
