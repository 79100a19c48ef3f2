package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// usualForms are params that are decoded in place.
var usualForms = []string{
	`{"session_id":"20b8d6c4-0000-4000-8000-000000000000","data":"ls\n"}`,
	`{"data":"","eof":true}`,
	` { "offset" : 123 , "eof":false, "data" : "\u00e9\ud83d\ude00é", "encoding":"utf8" } `,
	`{"data":"a","data":"b","offset":-0}`,
	`{"data":"` + strings.Repeat(`a line with \"quotes\", \\ and \u001b[0m\n`, 100) + `"}`,
	`{"data":"` + strings.Repeat("long ", 100) + `","data":"short"}`,
	`{"data":"` + strings.Repeat("long ", 100) + `","data":"` + strings.Repeat("longer ", 100) + `","eof":true}`,
	`{"data":"\udc00"}`,
	`{"data":"x","offset":7,"writer":"a"}`,
	`{"data":"\ufffd"}`,
}

// otherForms are params that are not. A long string may be anywhere in them.
var otherForms = []string{
	``, `null`, `[]`, `[{"data":"x"}]`, `{}`, `{"eof":true}`, `{"data":null}`, `{"data":"x","eof":null}`, `{"data":1}`,
	`{"data":"x","encoding":"base64"}`, `{"data":"x","encoding":"utf16"}`, `{"data":"x","encoding":""}`,
	`{"data":"x","offset":1e3}`, `{"data":"x","offset":1.0}`, `{"data":"x","offset":-1}`, `{"data":"x","offset":"1"}`,
	`{"data":"x","offset":9223372036854775808}`, `{"data":"x","eof":1}`, `{"data":"x","session_id":""}`,
	`{"data":"x","session_id":"\u0041"}`, `{"data":"x","session_id":7}`, `{"d\u0061ta":"x"}`, `{"Data":"x"}`, `{"data":"x","more":1}`,
	`{"data":"x","writer":"a"}`, `{"data":"x","offset":1,"writer":""}`, `{"data":"x","offset":1,"writer":null}`,
	`{"data":"x","offset":1,"writer":"` + strings.Repeat("a", rpc.MaxWriterBytes+1) + `"}`,
	`{"` + strings.Repeat("long ", 100) + `":"x","data":"y"}`, `{"session_id":"` + strings.Repeat(`\n`, 200) + `","data":"y"}`,
}

func TestUsualWrite(t *testing.T) {
	for _, params := range usualForms {
		if _, _, ok := usualWrite([]byte(strings.TrimSpace(params)), nil); !ok {
			t.Errorf("not decoded in place: %.100s", params)
		}
	}
	for _, params := range otherForms {
		if _, _, ok := usualWrite([]byte(params), nil); ok {
			t.Errorf("decoded in place: %s", params)
		}
	}
}

// FuzzUsualWrite compares the decoding in place with wire.DecodeParams.
func FuzzUsualWrite(f *testing.F) {
	for _, params := range append(usualForms, otherForms...) {
		f.Add([]byte(params))
	}
	f.Fuzz(func(t *testing.T, params []byte) {
		message := fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"write","params":%s}`, params)
		calls, _, bad := wire.ParseMessage(message, 1, nil)
		if bad != nil || len(calls) != 1 || calls[0].Err != nil {
			return
		}
		raw := calls[0].Params
		var want rpc.WriteParams
		wantErr := rpc.DecodeParams(raw, &want, false)
		before := bytes.Clone(raw)
		got, text, ok := usualWrite(raw, calls[0].Long)
		if !bytes.Equal(before, raw) {
			t.Fatalf("%s was changed", before)
		}
		if !ok {
			return
		}
		data, lone := wire.TextInPlace(text)
		if lone != nil {
			if wantErr == nil || wantErr.Data.(rpc.Data)["field"] != "data" || wantErr.Message != rpc.InvalidParams("data", "data %s", lone).Message {
				t.Fatalf("%s\n got %v\nwant %v", before, lone, wantErr)
			}
			return
		}
		s := string(data)
		got.Data = &s
		if wantErr != nil || asJSON(got) != asJSON(want) {
			t.Fatalf("%s\n got %s\nwant %s, %v", before, asJSON(got), asJSON(want), wantErr)
		}
	})
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestHandOver: a buffer is handed over only if the part is most of it, and alone.
func TestHandOver(t *testing.T) {
	for _, c := range []struct {
		part  int
		alone bool
		over  bool
	}{{bufferStep / 2, true, true}, {bufferStep/2 - 1, true, false}, {bufferStep, false, false}} {
		m := messageReader{message: newMessageBuffer(bufferStep)}
		text := append(m.message.text, make([]byte, bufferStep)...)
		part, recycle := m.handOver(text[:c.part], c.alone)
		if over := recycle != nil; over != c.over || over != (&part[0] == &text[0]) || over != (m.message == nil) || len(part) != c.part {
			t.Errorf("%+v: handed over %t, %d bytes", c, over, len(part))
		}
	}
	if part, recycle := (&messageReader{}).handOver([]byte("short"), true); string(part) != "short" || recycle != nil {
		t.Errorf("%q of a message without a buffer", part)
	}
}
