package egress

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestEncryptedServerName checks the outer name of an encrypted ClientHello (ECH). The inner one
// cannot be seen, so a server that has both names is reached by either.
func TestEncryptedServerName(t *testing.T) {
	checkLeaks(t)
	port, configs := serveECH(t, "public.example", "site.example")
	w := newWorld(t, "site.example:"+port)
	for outer, permitted := range map[string]bool{"site.example": true, "public.example": false} {
		conn := w.dial(t)
		converse(t, conn, ">CONNECT site.example:"+port+" HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 Connection established\r\n\r\n")
		client := tls.Client(conn, &tls.Config{
			ServerName: "secret.example", InsecureSkipVerify: true, EncryptedClientHelloConfigList: configs[outer],
		})
		err := client.Handshake()
		state := client.ConnectionState()
		conn.Close()
		switch {
		case permitted && (err != nil || !state.ECHAccepted):
			t.Errorf("outer name %s: %v, accepted: %t", outer, err, state.ECHAccepted)
		case !permitted && (err == nil || !strings.Contains(err.Error(), "unrecognized name")):
			t.Errorf("outer name %s: %v", outer, err)
		}
	}
	w.Close()
	if r := w.Report(); len(r.Refused) != 1 || r.Refused[0].Host != "public.example" || r.Refused[0].Reason != ServerName {
		t.Errorf("%+v", r.Refused)
	}
}

// serveECH starts a server that decrypts the ClientHello of clients with one of the configurations,
// which differ in the outer name. They are returned as lists of one.
func serveECH(t *testing.T, outer ...string) (port string, configs map[string][]byte) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{}
	configs = map[string][]byte{}
	for i, name := range outer {
		config := echConfig(byte(i), key.PublicKey().Bytes(), name)
		configs[name] = append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...)
		s.TLS.EncryptedClientHelloKeys = append(s.TLS.EncryptedClientHelloKeys, tls.EncryptedClientHelloKey{Config: config, PrivateKey: key.Bytes()})
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return portOf(s.URL), configs
}

// echConfig returns an ECHConfig, as crypto/tls takes it, for X25519, HKDF-SHA256 and AES-128-GCM.
func echConfig(id byte, public []byte, name string) []byte {
	contents := append([]byte{id, 0, 0x20, 0, byte(len(public))}, public...)
	contents = append(contents, 0, 4, 0, 1, 0, 1) // one pair of KDF and AEAD
	contents = append(contents, 0, byte(len(name)))
	contents = append(append(contents, name...), 0, 0) // no extensions
	return append([]byte{0xfe, 0x0d, 0, byte(len(contents))}, contents...)
}
