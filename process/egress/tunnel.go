package egress

import (
	"errors"
	"io"
	"net"
	"time"
)

// tunnel copies bytes both ways until both directions have ended, or one has failed. What was read
// ahead of the client is sent first.
func (p *Proxy) tunnel(client net.Conn, ahead []byte, l *link) {
	server := l.Conn
	client.SetReadDeadline(time.Time{})
	down := make(chan int64, 1)
	go func() {
		n, err := copyStream(client, server)
		if err != nil {
			client.Close()
			server.Close()
		}
		closeWrite(client)
		down <- n
	}()
	up, err := p.sendUp(client, ahead, l)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		p.record.refused(refused)
		client.SetWriteDeadline(time.Now().Add(lingerTime))
		client.Write(unrecognizedName)
		server.Close()
		linger(client)
	case err != nil:
		client.Close()
		server.Close()
	default:
		closeWrite(server)
	}
	l.up += up
	l.down += <-down
}

// unrecognizedName is the fatal alert in a TLS record (RFC 8446, section 6; RFC 6066, section 3).
var unrecognizedName = []byte{21, 3, 1, 0, 2, 2, 112}

// sendUp copies what the client sends, after it has checked its ClientHello, if there is one. An
// address is not checked: it was listed itself.
func (p *Proxy) sendUp(client net.Conn, ahead []byte, l *link) (sent int64, err error) {
	if !l.target.addr.IsValid() {
		if ahead, err = p.checkHello(client, ahead, l); err != nil {
			return 0, err
		}
	}
	if len(ahead) > 0 {
		n, err := l.Conn.Write(ahead)
		if err != nil {
			return int64(n), err
		}
		sent = int64(n)
	}
	n, err := copyStream(l.Conn, client)
	return sent + n, err
}

// checkHello reads the first bytes of the client, and returns them if they may be sent: they are no
// TLS handshake, or one without a server name, or with one that is permitted.
func (p *Proxy) checkHello(client net.Conn, ahead []byte, l *link) ([]byte, error) {
	h := hello{raw: ahead}
	refused := &refusal{target: l.target, reason: ServerName, addr: l.addr}
	for {
		done, err := h.complete()
		if err != nil {
			return nil, refused
		}
		if done {
			break
		}
		n, err := h.read(client)
		if n == 0 && err == io.EOF {
			return h.raw, nil // the copy sees it again
		}
		if n == 0 {
			return nil, err
		}
	}
	client.SetReadDeadline(time.Time{})
	if !h.tls {
		return h.raw, nil
	}
	name, err := serverName(h.message)
	if err != nil {
		return nil, refused
	}
	if name == "" || p.allow.permits(name, l.target.port) {
		return h.raw, nil
	}
	if t, err := newTarget(name, l.target.port); err == nil {
		refused.target = t
	}
	return nil, refused
}

// read reads more of it. Once it has begun, it has to arrive in time.
func (h *hello) read(client net.Conn) (int, error) {
	if len(h.raw) > 0 && !h.begun {
		h.begun = true
		client.SetReadDeadline(time.Now().Add(headTime))
	}
	const size = 2 << 10
	if cap(h.raw)-len(h.raw) < size {
		h.raw = append(make([]byte, 0, 2*len(h.raw)+size), h.raw...)
	}
	n, err := client.Read(h.raw[len(h.raw):cap(h.raw)])
	h.raw = h.raw[:len(h.raw)+n]
	return n, err
}

// copyStream copies all that src has until its end. While that is little, it needs little memory.
//
// It does not use splice(2), as io.Copy does: package net holds a pipe of 1 MiB for each copy, also
// while nothing is sent. If the server has no privileges, 64 such pipes make all further pipes of
// its user small (pipe-user-pages-soft in proc(5)), those of other commands included.
func copyStream(dst io.Writer, src io.Reader) (copied int64, err error) {
	small := make([]byte, tunnelBytes)
	var large *[bodyBytes]byte
	defer func() {
		if large != nil {
			bodies.Put(large)
		}
	}()
	for b := small; ; {
		n, err := src.Read(b)
		if n > 0 {
			written, err := dst.Write(b[:n])
			copied += int64(written)
			if err != nil {
				return copied, err
			}
		}
		switch {
		case err == io.EOF:
			return copied, nil
		case err != nil:
			return copied, err
		case n == len(small) && large == nil:
			large = bodies.Get().(*[bodyBytes]byte)
			b = large[:]
		case n < len(small) && large != nil:
			bodies.Put(large)
			large, b = nil, small
		}
	}
}
