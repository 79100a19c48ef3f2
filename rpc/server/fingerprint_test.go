package server

import (
	"encoding/hex"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestFingerprintIsStable: fingerprints are those of earlier versions, so that a retry is
// recognized after an update of the server or the client.
func TestFingerprintIsStable(t *testing.T) {
	const id = `"session_id":"11111111-1111-4111-8111-111111111111"`
	for raw, want := range map[string]string{
		`{` + id + `,"command":"true"}`: "605df713fea49fa8",
		`{` + id + `,"command":["printf","<a&b> \u2028\u0001\u0008\f\n\u007fé😀"]}`:                                                       "ebdd99efca116d91",
		`{` + id + `,"command":"a","cwd":"/tmp/<é>"}`:                                                                                    "0cd886b13b209ce6",
		`{` + id + `,"command":"a","env":{"B":"x<\t","A":"","Z":null,"é":"\\\u001f"}}`:                                                   "ba5b41259f30f8b5",
		`{` + id + `,"command":"a","env":{}}`:                                                                                            "3485da6963fe5ac3",
		`{` + id + `,"command":"a","cwd":null,"env":null,"labels":{"a":"&"}}`:                                                            "68e4ca72443697ff",
		`{` + id + `,"command":"true","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}`:                          "605df713fea49fa8",
		`{` + id + `,"command":["a",""],"pty":{"rows":1,"cols":2,"term":"x"},"timeout":1.5,"capture_bytes":0,"limits":{"open_files":7}}`: "36d835afe77358c6",
	} {
		var p rpc.ExecuteParams
		if err := rpc.DecodeParams([]byte(raw), &p, false); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString([]byte(fingerprint(&p)[:8])); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
