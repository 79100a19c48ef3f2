package main

import (
	"bytes"
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
		time.Sleep(20 * time.Millisecond) // 1,000 a second together, whenever the answer comes
		go ask(address, "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
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
		talk(address, "POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n", 50_000_000)
	},
	"stalled handshakes": func(address string) { talk(address, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0) },
	"no HTTP":            func(address string) { talk(address, "\x00", 300_000) },
	"no end of a header": func(address string) { talk(address, "GET /ws HTTP/1.1\r\nX: ", 300_000) },
}

// talk sends a text and so many more bytes on one connection, and reads the answer.
func talk(address, text string, more int) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	_, err = io.WriteString(c, text)
	for ; more > 0 && err == nil; more -= len(filler) {
		_, err = c.Write(filler)
	}
	if err == nil { // else the server has closed it
		_, _ = io.Copy(io.Discard, c)
	}
}

// ask sends a request on one connection, and reads an answer.
func ask(address, text string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	if _, err = io.WriteString(c, text); err == nil {
		_, _ = c.Read(make([]byte, 4<<10))
	}
}

// filler is shared: a program that allocates gigabytes would slow down the machine by that.
var filler = bytes.Repeat([]byte("x"), 50_000)

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
