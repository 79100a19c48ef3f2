package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// readyFile is the content of the ready file, which exists while a server listens.
type readyFile struct {
	URL       string `json:"url"` // of the first TCP listener; "" if there is none
	PID       int    `json:"pid"`
	TokenFile string `json:"token_file,omitempty"` // omitted with --auth none
}

// write writes the file, and returns a function that removes it unless another server has replaced
// it.
func (r readyFile) write(path string) (remove func(), err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("ready file: %w", err)
	}
	text = append(text, '\n')
	if path, err = filepath.Abs(path); err == nil {
		err = writeAtomically(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("ready file: %w", err)
	}
	return func() {
		if now, _, err := readRegular(path, int64(len(text)), nil); err == nil && bytes.Equal(now, text) {
			_ = os.Remove(path)
		}
	}, nil
}

// urlOf returns the URL of the first TCP listener for a client on this machine.
func urlOf(listeners []net.Listener, tls bool) string {
	for _, l := range listeners {
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		to := *addr
		switch {
		case !addr.IP.IsUnspecified():
		case addr.IP.To4() != nil:
			to.IP = net.IPv4(127, 0, 0, 1)
		default:
			to.IP = net.IPv6loopback
		}
		scheme := "ws://"
		if tls {
			scheme = "wss://"
		}
		return scheme + to.String() + "/ws"
	}
	return ""
}
