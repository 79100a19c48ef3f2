package client

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// decodedByJSON decodes a process.output with encoding/json.
func decodedByJSON(t *testing.T, msg []byte) Output {
	t.Helper()
	o, ok := decodeAnyForm(msg)
	if !ok {
		t.Fatalf("not decoded: %s", msg)
	}
	return o
}

func message(t *testing.T, p rpc.Output) []byte {
	t.Helper()
	b, err := json.Marshal(struct {
		JSONRPC string     `json:"jsonrpc"`
		Method  string     `json:"method"`
		Params  rpc.Output `json:"params"`
	}{"2.0", rpc.NotifyOutput, p})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzDecodeOutput(f *testing.F) {
	f.Add("line\n", int64(7), false, false, int64(0), 0)
	f.Add("é€😀 \"\\\x00\u2028</script>", int64(1)<<40, true, true, int64(3), 2)
	f.Fuzz(func(t *testing.T, data string, seq int64, truncated, partial bool, dropped int64, replaced int) {
		p := rpc.Output{
			SessionID: uuid.NewString(), Seq: seq, Type: rpc.StreamStderr, Data: data,
			Truncated: truncated, Partial: partial, DroppedBytes: dropped, Replaced: replaced,
		}
		msg := message(t, p)
		want := decodedByJSON(t, msg)
		got, ok := decodeOutput(msg)
		if !ok {
			t.Fatalf("not decoded: %s", msg)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(Output{}), cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); d != "" {
			t.Error(d)
		}
	})
}

func TestDecodeBase64Output(t *testing.T) {
	msg := message(t, rpc.Output{SessionID: uuid.NewString(), Seq: 3, Type: rpc.StreamStdout, Data: "/wD+", Encoding: rpc.EncodingBase64, Partial: true})
	got, ok := decodeOutput(msg)
	if !ok || string(got.Data) != "\xff\x00\xfe" || !got.Partial || got.Type != rpc.StreamStdout {
		t.Errorf("%v %+v", ok, got)
	}
}

// TestDecodeOutputInAnyForm: the members may have any order; another notification is not decoded.
func TestDecodeOutputInAnyForm(t *testing.T) {
	msg := []byte(`{"params":{"data":"x\n","type":"stdout","seq":5,"session_id":"s"},"method":"process.output","jsonrpc":"2.0"}`)
	if o, ok := decodeOutput(msg); !ok || string(o.Data) != "x\n" || o.Seq != 5 {
		t.Errorf("%v %+v", ok, o)
	}
	id := uuid.NewString()
	for _, form := range []string{
		`"type":"stdout","seq":5,"data":"x\n"}}`,
		`"seq":5,"type":"stdout","data":"x\n","more":{}}}`,
		`"seq":5,"type":"stdout","data":"x\n"} }`,
		`"seq":5,"type":"stdout","data":"x\n","more":[]} }`,
		`"seq":5,"type":"stdout","data":"eAo=","encoding":"base64"}}`,
		`"seq":5,"type":"stdout","data":"eAo=","encoding":"base64" }}`,
	} {
		o, ok := decodeOutput([]byte(`{"jsonrpc":"2.0","method":"process.output","params":{"session_id":"` + id + `",` + form))
		if !ok || string(o.Data) != "x\n" || o.Seq != 5 || o.Type != "stdout" {
			t.Errorf("%s: %v %+v", form, ok, o)
		}
	}
	if _, ok := decodeOutput([]byte(`{"jsonrpc":"2.0","method":"process.completed","params":{}}`)); ok {
		t.Error("process.completed was decoded as output")
	}
}
