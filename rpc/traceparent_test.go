package rpc

import (
	"regexp"
	"strings"
	"testing"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

func TestParseTraceparent(t *testing.T) {
	for _, s := range []string{
		"00-" + traceID + "-" + parentID + "-01",
		"00-" + traceID + "-" + parentID + "-ff", // unknown flags
		"01-" + traceID + "-" + parentID + "-00",
		"fe-" + traceID + "-" + parentID + "-00-",
		"cc-" + traceID + "-" + parentID + "-01-what.the-future~WILL/be",
		"01-" + traceID + "-" + parentID + "-00-" + strings.Repeat("x", MaxTraceparent-traceparentBytes-1),
	} {
		if got, err := ParseTraceparent(s); err != nil || got != (Traceparent{traceID, parentID}) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	zeros := strings.Repeat("0", 32)
	for s, want := range map[string]string{
		"":                                       "must be VERSION-",
		"00-" + traceID + "-" + parentID:         "must be VERSION-",
		"00-" + traceID + "-" + parentID + "-0":  "must be VERSION-",
		"00-" + traceID + "_" + parentID + "-01": "must be VERSION-",
		"00-" + strings.ToUpper(traceID) + "-" + parentID + "-01":                                        "must be VERSION-",
		"00-" + traceID + "-" + strings.ToUpper(parentID) + "-01":                                        "must be VERSION-",
		"0A-" + traceID + "-" + parentID + "-01":                                                         "must be VERSION-",
		"00-" + traceID + "-" + parentID + "-0g":                                                         "must be VERSION-",
		" 00-" + traceID + "-" + parentID + "-01":                                                        "must be VERSION-",
		"ff-" + traceID + "-" + parentID + "-01":                                                         "version ff",
		"00-" + zeros + "-" + parentID + "-01":                                                           "trace id of zeros",
		"00-" + traceID + "-" + zeros[:16] + "-01":                                                       "parent id of zeros",
		"01-" + zeros + "-" + parentID + "-01":                                                           "trace id of zeros",
		"00-" + traceID + "-" + parentID + "-01-":                                                        "55 characters",
		"00-" + traceID + "-" + parentID + "-01 ":                                                        "55 characters",
		"01-" + traceID + "-" + parentID + "-012":                                                        "dash",
		"01-" + traceID + "-" + parentID + "-01-a b":                                                     "visible ASCII",
		"01-" + traceID + "-" + parentID + "-01-\x00":                                                    "visible ASCII",
		"01-" + traceID + "-" + parentID + "-01-é":                                                       "visible ASCII",
		"01-" + traceID + "-" + parentID + "-00-" + strings.Repeat("x", MaxTraceparent-traceparentBytes): "at most 512",
	} {
		if got, err := ParseTraceparent(s); err == nil || !strings.Contains(err.Error(), want) || got != (Traceparent{}) {
			t.Errorf("%q: %+v, %v, want %q", s, got, err, want)
		}
	}
}

var traceparentForm = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?$`)

// FuzzParseTraceparent compares the parser with the grammar of the specification.
func FuzzParseTraceparent(f *testing.F) {
	for _, s := range []string{"", "00-" + traceID + "-" + parentID + "-01", "01-" + traceID + "-" + parentID + "-01-x", "ff-" + traceID + "-" + parentID + "-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTraceparent(s)
		m := traceparentForm.FindStringSubmatch(s)
		valid := m != nil && m[1] != "ff" && strings.Trim(m[2], "0") != "" && strings.Trim(m[3], "0") != "" &&
			(m[1] != "00" || m[4] == "") && len(s) <= MaxTraceparent
		switch {
		case valid != (err == nil):
			t.Errorf("%q: %v", s, err)
		case valid && got != (Traceparent{m[2], m[3]}):
			t.Errorf("%q: %+v", s, got)
		}
	})
}
