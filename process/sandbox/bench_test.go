package sandbox

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkComplete is the cost of the largest request with the largest floor.
func BenchmarkComplete(b *testing.B) {
	floor := readOnly
	floor.Network.Mode = AllowList
	r := Request{Partial: Partial{Network: Network{Mode: AllowList}}}
	for i := range MaxRules / 2 {
		floor.Files = append(floor.Files, Rule{fmt.Sprintf("/%s/f%d", strings.Repeat("d", 200), i), Write, Skip})
		r.Files = append(r.Files, Rule{fmt.Sprintf("/%s/f%d/x", strings.Repeat("d", 200), i), Read, Skip})
	}
	for i := range MaxDestinations {
		floor.Network.Allow = append(floor.Network.Allow, Destination{fmt.Sprintf("*.a%d.example.org", i), 0})
		r.Network.Allow = append(r.Network.Allow, Destination{fmt.Sprintf("x.a%d.example.org", MaxDestinations-1-i), 443})
	}
	var none *Profiles
	for b.Loop() {
		if _, err := none.Complete(&r, &floor, Place{Dir: "/d"}); err != nil {
			b.Fatal(err)
		}
	}
}
