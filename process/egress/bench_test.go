package egress

import (
	"io"
	"net"
	"testing"

	"golang.org/x/time/rate"
)

// BenchmarkTunnel copies 64 MiB from a server to a client: directly, and through a tunnel.
func BenchmarkTunnel(b *testing.B) {
	const size = 64 << 20
	port := serveTCP(b, func(conn net.Conn) {
		buf := make([]byte, 256<<10)
		for {
			if _, err := io.ReadFull(conn, buf[:1]); err != nil {
				return
			}
			for sent := 0; sent < size; sent += len(buf) {
				conn.Write(buf)
			}
		}
	})
	receive := func(b *testing.B, conn net.Conn) {
		defer conn.Close()
		b.SetBytes(size)
		buf := make([]byte, 256<<10)
		for b.Loop() {
			conn.Write([]byte("x"))
			for got := 0; got < size; {
				n, err := conn.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				got += n
			}
		}
	}
	b.Run("direct", func(b *testing.B) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			b.Fatal(err)
		}
		receive(b, conn)
	})
	b.Run("tunnel", func(b *testing.B) {
		w := newWorld(b, "site.example:"+port)
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			b.Fatal(err)
		}
		io.WriteString(conn, "CONNECT site.example:"+port+" HTTP/1.1\r\n\r\n")
		if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))); err != nil {
			b.Fatal(err)
		}
		receive(b, conn)
	})
}

// BenchmarkConnect opens a tunnel, and closes it.
func BenchmarkConnect(b *testing.B) {
	port := serveTCP(b, func(conn net.Conn) { io.Copy(conn, conn) })
	open := func(b *testing.B, addr, request, reply string) {
		for b.Loop() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			io.WriteString(conn, request+"x")
			if _, err := io.ReadFull(conn, make([]byte, len(reply)+1)); err != nil {
				b.Fatal(err)
			}
			conn.Close()
		}
	}
	b.Run("direct", func(b *testing.B) { open(b, "127.0.0.1:"+port, "", "") })
	b.Run("tunnel", func(b *testing.B) {
		w := newWorld(b, "site.example:"+port)
		w.rate.SetLimit(rate.Inf)
		open(b, w.addr, "CONNECT site.example:"+port+" HTTP/1.1\r\n\r\n", "HTTP/1.1 200 Connection established\r\n\r\n")
	})
}
