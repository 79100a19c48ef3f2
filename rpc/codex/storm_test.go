//go:build linux

package codex_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestStorm starts and terminates many processes, and checks that nothing is left. It is not parallel, because
// it counts the resources of this process.
func TestStorm(t *testing.T) {
	before := usedResources()
	mark := mark(t)
	t.Run("service", func(t *testing.T) {
		n := rounds(200, 1000)
		s := serve(t, func(set *settings) { set.Session.MaxSessions, set.Codex.MaxProcesses = n, n })
		c := s.client()
		closed, replies := 0, 0
		next := func() {
			switch m := c.next(); {
			case m.Method == "process/closed":
				closed++
			case m.Method != "":
			case m.Error != nil:
				t.Fatalf("%+v", *m.Error)
			default:
				replies++
			}
		}
		const most = 100 // that run
		for i := range n {
			id := fmt.Sprint(mark, i)
			c.request("process/start", command(id, "setsid sleep 1000 & sleep 1000"))
			c.request("process/terminate", map[string]any{"processId": id})
			for i-closed >= most {
				next()
			}
		}
		for closed < n || replies < 2*n {
			next()
		}
		s.idle()
		if n := marked("MARK=" + mark); n != 0 {
			t.Errorf("%d processes are left", n)
		}
	})
	var after resources
	if !poll(func() bool { after = usedResources(); return after.within(before) }) {
		t.Errorf("left behind\nbefore: %+v\nafter:  %+v", before, after)
	}
}

// TestClientThatDoesNotRead checks that commands that write without end wait for a client that does not read,
// in bounded memory, that other clients do not, and that all ends with the connection. It is not parallel,
// because it measures the heap.
func TestClientThatDoesNotRead(t *testing.T) {
	const commands, perCommand, slack = 8, 2 << 20, 32 << 20 // the log of each, and a frame; the rest of the process
	s := serve(t)
	c, other := s.client(), s.client()
	before := heap()
	mark := mark(t)
	for i := range commands {
		id := fmt.Sprint(mark, i)
		c.request("process/start", command(id, "exec yes"))
	}
	last, same := int64(-1), 0
	eventually(t, "all commands wait", func() bool {
		written, running := written("MARK=" + mark)
		if same++; written != last || running < commands {
			last, same = written, 0
		}
		return same == 100
	})
	if most := int64(commands*perCommand + slack); last > most {
		t.Errorf("the commands have written %d MiB", last>>20)
	} else if used := heap() - before; used > most {
		t.Errorf("%d MiB are in use", used>>20)
	}
	for i := range 20 {
		id := fmt.Sprint("p", i)
		other.start(id, "echo hello")
		if output, _ := other.ended(id); output != "hello\n" {
			t.Errorf("%q", output)
		}
	}
	c.drop()
	s.idle()
	if n := marked("MARK=" + mark); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// written returns how many bytes the processes with a mark have written (wchar, proc_pid_io(5)), and how many
// of them have written anything.
func written(mark string) (sum int64, processes int) {
	for _, pid := range withMark(mark) {
		io, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
		_, rest, _ := strings.Cut(string(io), "wchar: ")
		text, _, _ := strings.Cut(rest, "\n")
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
			sum += n
			processes++
		}
	}
	return sum, processes
}
