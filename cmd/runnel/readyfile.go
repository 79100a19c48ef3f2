package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// readyFile tells who started a server that it listens, and where.
type readyFile struct {
	URL       string `json:"url"` // of the first TCP listener; "" where there is none
	PID       int    `json:"pid"`
	TokenFile string `json:"token_file,omitempty"` // left out under --auth none
}

// write writes the file. The function that it returns removes it, unless another server has replaced it.
func (r readyFile) write(path string) (remove func(), err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("ready file: %w", err)
	}
	text = append(text, '\n')
	if path, err = filepath.Abs(path); err == nil {
		err = writeWhole(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("ready file: %w", err)
	}
	return func() {
		if now, err := readRegular(path); err == nil && bytes.Equal(now, text) {
			_ = os.Remove(path)
		}
	}, nil
}

// urlOf is where a client on this machine reaches the first TCP listener.
func urlOf(listeners []net.Listener) string {
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
		return "ws://" + to.String() + "/ws"
	}
	return ""
}
