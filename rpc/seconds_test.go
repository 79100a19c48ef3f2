package rpc

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSecondsUnmarshal(t *testing.T) {
	for raw, want := range map[string]Seconds{
		`null`:  {Set: true, Null: true},
		`0`:     {Set: true},
		`-0`:    {Set: true},
		`1`:     {Set: true, D: time.Second},
		`0.1`:   {Set: true, D: 100 * time.Millisecond},
		`2.5e1`: {Set: true, D: 25 * time.Second},
		`1e9`:   {Set: true, D: 1e9 * time.Second},
		`1e-10`: {Set: true, D: 1},
	} {
		var got Seconds
		if err := got.UnmarshalJSON([]byte(raw)); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", raw, got, err, want)
		}
	}
	for raw, want := range map[string]string{
		`-0.001`:       "must not be negative",
		`-1e400`:       "must not be negative",
		`1000000000.1`: "must be at most 1e9 seconds",
		`1e400`:        "must be at most 1e9 seconds",
		`"1"`:          "must be a number of seconds",
		`true`:         "must be a number of seconds",
		`[1]`:          "must be a number of seconds",
		`NaN`:          "must be a number of seconds",
		`inf`:          "must be a number of seconds",
		`0x10`:         "must be a number of seconds",
		`1_0`:          "must be a number of seconds",
		``:             "must be a number of seconds",
	} {
		got := Seconds{D: 7}
		if err := got.UnmarshalJSON([]byte(raw)); err == nil || err.Error() != want || got != (Seconds{D: 7}) {
			t.Errorf("%s: got %v, %v, want error %s", raw, got, err, want)
		}
	}
}

func TestSecondsMarshal(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       `0`,
		1:                       `0.000000001`,
		1500 * time.Millisecond: `1.5`,
		10 * time.Second:        `10`,
		1e9 * time.Second:       `1000000000`,
	} {
		got, err := json.Marshal(Seconds{D: d})
		if err != nil || string(got) != want {
			t.Errorf("%v: got %s, %v, want %s", d, got, err, want)
		}
	}
	if got, err := json.Marshal(Seconds{Set: true, Null: true}); err != nil || string(got) != `null` {
		t.Errorf("null: got %s, %v", got, err)
	}
	for _, d := range []time.Duration{-1, 1e9*time.Second + 1} {
		if got, err := json.Marshal(Seconds{D: d}); err == nil {
			t.Errorf("%v: got %s, want an error", d, got)
		}
	}
	if got, _ := json.Marshal(CancelParams{}); string(got) != `{}` {
		t.Errorf("zero Seconds were written: %s", got)
	}
}
