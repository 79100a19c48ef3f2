package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// storms are what clients without a credential do to a server, each from 20 goroutines. They get
// the address, and return after one connection.
var storms = map[string]func(address string){
	"wrong tokens": func(address string) {
		time.Sleep(20 * time.Millisecond) // 1,000 a second together
		talk(address, "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer wrong\r\n\r\n")
	},
	"slow headers": func(address string) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer c.Close()
		for _, b := range []byte("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + strings.Repeat("x", 100)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond) // the client is slow
		}
	},
	"a lot of data": func(address string) { // each sends 50 MB, 1 GB in all
		talk(address, "POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n", strings.Repeat("x", 50_000_000))
	},
	"stalled handshakes": func(address string) { talk(address, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") },
	"no HTTP":            func(address string) { talk(address, strings.Repeat("\x16\x03\x01", 100_000)) },
}

// talk sends the data on one connection and reads the answer.
func talk(address string, data ...string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	for _, d := range data {
		if _, err := io.WriteString(c, d); err != nil {
			return // the server has closed it
		}
	}
	_, _ = io.Copy(io.Discard, c)
}

// stormMain is a program that makes a storm, with the lowest priority, until it is killed. It prints
// a line when it has begun.
func stormMain() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
	storm, address := storms[os.Args[1]], os.Args[2]
	for range 20 {
		go func() {
			for {
				storm(address)
			}
		}()
	}
	time.Sleep(100 * time.Millisecond) // until the first connections are open
	fmt.Println("begun")
	select {}
}
