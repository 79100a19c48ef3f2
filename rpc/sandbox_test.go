package rpc

import (
	"encoding/json"
	"reflect"
	"testing"
)

type sandboxParams struct {
	Sandbox *Sandbox `json:"sandbox,omitempty"`
}

// TestSandbox goes both ways: a name, an object, or left out.
func TestSandbox(t *testing.T) {
	for text, want := range map[string]*Sandbox{
		`{}`:                      nil,
		`{"sandbox":"read-only"}`: {Profile: "read-only"},
		`{"sandbox":{}}`:          {},
		`{"sandbox":{"profile":"off","metadata":"files"}}`:     {Profile: "off", Metadata: MetadataFiles},
		`{"sandbox":{"profile":"workspace","network":"none"}}`: {Profile: "workspace", Network: SandboxNetwork{Mode: NetworkNone}},
		`{"sandbox":{"network":{"allow":[]}}}`:                 {Network: SandboxNetwork{Mode: NetworkAllow, Allow: []string{}}},
		`{"sandbox":{"files":[{"path":".","access":"write"},{"path":{"base64":"L/8="},"access":"none","missing":"skip"}],"files_default":"none",` +
			`"network":{"allow":["a.org:443"]},"processes":"shared","tmp":"shared","devices":"minimal","unix_sockets":"full","metadata":"full"}}`: {
			Files:        []SandboxRule{{Path: ".", Access: AccessWrite}, {"/\xff", AccessNone, MissingSkip}},
			FilesDefault: AccessNone, Network: SandboxNetwork{NetworkAllow, []string{"a.org:443"}},
			Processes: ProcessesShared, Tmp: TmpShared, Devices: DevicesMinimal, UnixSockets: UnixSocketsFull, Metadata: MetadataFull,
		},
	} {
		var p sandboxParams
		if err := DecodeParams([]byte(text), &p, false); err != nil || !reflect.DeepEqual(p.Sandbox, want) {
			t.Errorf("%s: %+v, %v", text, p.Sandbox, err)
		}
		if b, err := json.Marshal(p); err != nil || string(b) != text {
			t.Errorf("%s, %v; want %s", b, err, text)
		}
	}
	for text, same := range map[string]string{
		`{"sandbox":null}`:               `{}`,
		`{"sandbox":{"profile":"off"}}`:  `{"sandbox":"off"}`,
		`{"sandbox":{"profile":null}}`:   `{"sandbox":{}}`,
		`{"sandbox":{"network":null}}`:   `{"sandbox":{}}`,
		`{"sandbox":"a","sandbox":"of"}`: `{"sandbox":"of"}`,
	} {
		var p sandboxParams
		err := DecodeParams([]byte(text), &p, false)
		if b, bad := json.Marshal(p); err != nil || bad != nil || string(b) != same {
			t.Errorf("%s is %s; %v, %v", text, b, err, bad)
		}
	}
}

// TestSandboxErrors: an error names the field.
func TestSandboxErrors(t *testing.T) {
	for text, field := range map[string]string{
		`{"sandbox":""}`:                                      "sandbox",
		`{"sandbox":1}`:                                       "sandbox",
		`{"sandbox":[]}`:                                      "sandbox",
		`{"sandbox":"\udce9"}`:                                "sandbox",
		`{"sandbox":{"profile":""}}`:                          "sandbox.profile",
		`{"sandbox":{"file":[]}}`:                             "sandbox.file",
		`{"sandbox":{"files":{}}}`:                            "sandbox.files",
		`{"sandbox":{"files":[{"path":"/"}]}}`:                "sandbox.files[0].access",
		`{"sandbox":{"files":[{"access":"read"}]}}`:           "sandbox.files[0].path",
		`{"sandbox":{"files":[{"path":"/a","access":"rw"}]}}`: "sandbox.files[0].access",
		`{"sandbox":{"files":[{"path":"/","access":"read","missing":1}]}}`: "sandbox.files[0].missing",
		`{"sandbox":{"files":[{"path":"/","access":"read","x":1}]}}`:       "sandbox.files[0].x",
		`{"sandbox":{"files":[null]}}`:                                     "sandbox.files[0]",
		`{"sandbox":{"files_default":"write"}}`:                            "sandbox.files_default",
		`{"sandbox":{"network":"allow"}}`:                                  "sandbox.network",
		`{"sandbox":{"network":[]}}`:                                       "sandbox.network",
		`{"sandbox":{"network":{}}}`:                                       "sandbox.network.allow",
		`{"sandbox":{"network":{"allow":null}}}`:                           "sandbox.network.allow",
		`{"sandbox":{"network":{"allow":[null]}}}`:                         "sandbox.network.allow[0]",
		`{"sandbox":{"network":{"allow":[],"x":1}}}`:                       "sandbox.network.x",
		`{"sandbox":{"processes":"private"}}`:                              "sandbox.processes",
		`{"sandbox":{"tmp":"own"}}`:                                        "sandbox.tmp",
		`{"sandbox":{"devices":"all"}}`:                                    "sandbox.devices",
		`{"sandbox":{"unix_sockets":"abstract"}}`:                          "sandbox.unix_sockets",
		`{"sandbox":{"metadata":"none"}}`:                                  "sandbox.metadata",
	} {
		for range 2 { // an error does not change the next one
			err := DecodeParams([]byte(text), &sandboxParams{}, false)
			if err == nil || err.Data.(Data)["field"] != field {
				t.Errorf("%s: %+v, want the field %s", text, err, field)
			}
		}
	}
	if _, err := json.Marshal(SandboxNetwork{Mode: "some"}); err == nil {
		t.Error("a network that does not exist was written")
	}
}

// FuzzSandbox: what is decoded is the same when it is written and decoded again.
func FuzzSandbox(f *testing.F) {
	f.Add([]byte(`{"sandbox":{"files":[{"path":".","access":"write"}],"network":{"allow":["a:1"]}}}`))
	f.Add([]byte(`{"sandbox":"read-only"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p, again sandboxParams
		if err := DecodeParams(text, &p, false); err != nil {
			return
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := DecodeParams(b, &again, false); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if c, err := json.Marshal(again); err != nil || string(c) != string(b) {
			t.Errorf("%s, %s, %v", b, c, err)
		}
	})
}
