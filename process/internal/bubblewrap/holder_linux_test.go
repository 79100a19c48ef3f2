package bubblewrap

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/seccomp"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestHolderIsOutOfReach has a process of the same user try to influence the holder.
func TestHolderIsOutOfReach(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		n := mustStart(t, c)
		holder := holderOf(n.PIDFD)
		check(t, n, "cat /proc/1/comm", "runnel-hold")
		for _, script := range []string{
			"cat /proc/1/environ", "cat /proc/1/fd/3", "readlink /proc/1/fd/3", "readlink /proc/1/exe", "readlink /proc/1/ns/net",
			"ls /proc/1/root/", "ls /proc/1/cwd/", "head -c1 /proc/1/mem", "cat /proc/1/maps", "cat /proc/1/syscall",
			": >>/proc/1/exe",
		} {
			check(t, n, script, "fails")
		}
		n.sh(t, `for i in $(seq 1 64); do kill -$i 1; done`)
		n.sh(t, `for i in $(seq 1 64); do kill -$i 1; done; true`)
		if !proctest.Alive(holder) {
			t.Fatal("the holder has ended")
		}
		if _, err := os.Stat("/usr/bin/python3"); err == nil {
			check(t, n, `python3 -c 'import ctypes,os; l=ctypes.CDLL(None,use_errno=True)
for request in (16, 0x4206): # PTRACE_ATTACH, PTRACE_SEIZE
	print(l.ptrace(request,1,0,0), ctypes.get_errno())
fd=os.pidfd_open(1)
print(l.syscall(438,fd,3,0), ctypes.get_errno()) # pidfd_getfd
print(l.setns(fd, 0x20000), ctypes.get_errno())'`, "-1 1\n-1 1\n-1 1\n-1 1")
		}
		if !proctest.Alive(holder) {
			t.Fatal("the holder has ended")
		}
	})
}

// TestHolderHasNothing checks what a holder keeps.
func TestHolderHasNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		dir := tree(t, c, "w/f")
		c.Binds = []Bind{bind(t, dir+"/w", sandbox.Write)}
		c.Sandbox.Network.Mode = sandbox.AllowList // has the most steps
		c.Filter = seccomp.Filter(seccomp.Options{Network: sandbox.AllowList, OwnNetwork: true, UnixSockets: sandbox.NoUnixSockets, RefuseBareOpen: true})
		n := mustStart(t, c)
		proc := fmt.Sprintf("/proc/%d/", holderOf(n.PIDFD))
		if _, err := os.ReadDir(proc + "fd"); err != nil {
			t.Skip(err) // not root
		}
		if !proctest.Poll(func() bool { entries, _ := os.ReadDir(proc + "fd"); return len(entries) == 4 }) {
			t.Error("there are other descriptors than 0 to 3")
		}
		for fd, want := range []string{"/dev/null", "/dev/null", "/dev/null", "socket:"} {
			if target, _ := os.Readlink(proc + "fd/" + strconv.Itoa(fd)); !strings.HasPrefix(target, want) {
				t.Errorf("descriptor %d is %s", fd, target)
			}
		}
		tasks, _ := os.ReadDir(proc + "task")
		for _, task := range tasks {
			status, _ := os.ReadFile(proc + "task/" + task.Name() + "/status")
			for _, line := range []string{"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"} {
				if !bytes.Contains(status, []byte(line)) {
					t.Errorf("no %q in\n%s", line, status)
				}
			}
		}
		line, _ := os.ReadFile(proc + "cmdline")
		env, _ := os.ReadFile(proc + "environ")
		bwrap, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.bwrap.PID))
		if all := string(line) + string(env) + string(bwrap); strings.Contains(all, dir) || strings.Contains(all, "RUNNEL") {
			t.Errorf("%q", all)
		}
	})
}

// TestOrphans checks that the kernel reaps orphans and that nothing outside is visible.
func TestOrphans(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		n := mustStart(t, c)
		n.sh(t, `(sleep 0.01 & sleep 0.01 &)`)
		if !proctest.Poll(func() bool { return n.sh(t, "ps -e -o stat= | wc -l") == n.sh(t, "ps -e -o stat= | grep -vc Z") }) {
			t.Error("there are zombies")
		}
		check(t, n, `for p in /proc/[0-9]*; do cat $p/comm; done | grep -c runnel-hold`, "1")
		check(t, n, fmt.Sprintf("kill -0 %d", os.Getpid()), "fails")
	})
}

func TestNetwork(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		n := mustStart(t, c)
		check(t, n, `grep -c : /proc/net/dev; grep -o lo: /proc/net/dev`, "1\nlo:")
		if n.Listener != nil {
			t.Error("a listener")
		}
		c.Sandbox.Network.Mode = sandbox.FullNetwork
		own, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		check(t, mustStart(t, c), `readlink /proc/self/ns/net`, own)
	})
}

func TestListener(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	eachKind(t, func(t *testing.T, c *Config) {
		c.Sandbox.Network.Mode = sandbox.AllowList
		n := mustStart(t, c)
		address := n.Listener.Addr().(*net.TCPAddr)
		if !address.IP.Equal(net.IPv4(127, 0, 0, 1)) || address.Port == 0 {
			t.Fatal(address)
		}
		accepted := make(chan error, 1)
		go func() {
			conn, err := n.Listener.Accept()
			if err == nil {
				_, err = conn.Write([]byte("hello\n"))
				_ = conn.Close()
			}
			accepted <- err
		}()
		check(t, n, fmt.Sprintf(`bash -c 'cat </dev/tcp/127.0.0.1/%d'`, address.Port), "hello")
		if err := <-accepted; err != nil {
			t.Error(err)
		}
		if conn, err := net.Dial("tcp", address.String()); err == nil {
			_ = conn.Close()
			t.Error("it can be connected to from outside")
		}
	})
}

// TestFlags compares the namespaces of a process inside with those of this process.
func TestFlags(t *testing.T) {
	names := map[string]int{
		"mnt": unix.CLONE_NEWNS, "user": unix.CLONE_NEWUSER, "pid": unix.CLONE_NEWPID, "net": unix.CLONE_NEWNET,
		"ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "cgroup": unix.CLONE_NEWCGROUP,
	}
	eachKind(t, func(t *testing.T, c *Config) {
		c.Ruleset = func(open func(string) (int, error)) (int, error) { return open("/") }
		for _, processes := range []sandbox.Scope{sandbox.Own, sandbox.Shared} {
			for _, network := range []sandbox.Mode{sandbox.NoNetwork, sandbox.AllowList, sandbox.FullNetwork} {
				c.Sandbox.Processes, c.Sandbox.Network.Mode = processes, network
				n := mustStart(t, c)
				inside := n.sh(t, "cd /proc/self/ns && for n in *; do echo $n=$(readlink $n); done")
				for name, flag := range names {
					own, err := os.Readlink("/proc/self/ns/" + name)
					if err != nil {
						t.Fatal(err)
					}
					same := strings.Contains(inside+"\n", name+"="+own+"\n")
					if differs := n.Flags&flag != 0; differs == same {
						t.Errorf("%s %s: %s: flag %v, %s and\n%s", processes, network, name, differs, own, inside)
					}
				}
				n.Close()
			}
		}
	})
}

// TestSetns shows which flags can be used to enter by the pidfd of a holder, which is not dumpable.
func TestSetns(t *testing.T) {
	const rest = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	root := os.Geteuid() == 0
	eachKind(t, func(t *testing.T, c *Config) {
		n := mustStart(t, c)
		for _, test := range []struct {
			name       string
			flags      int
			plain      error // without a user namespace
			user, root error // with one, entered by another user than root, and by root
		}{
			{"all", n.Flags, nil, nil, nil},
			{"user", unix.CLONE_NEWUSER, unix.EINVAL, nil, nil},
			{"user and cgroup", n.Flags | unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP, unix.EINVAL, unix.EPERM, nil},
			{"all but user", rest, nil, unix.EPERM, nil},
			{"mnt", unix.CLONE_NEWNS, nil, unix.EPERM, nil},
			{"pid", unix.CLONE_NEWPID, nil, unix.EPERM, nil},
			{"user and mnt", unix.CLONE_NEWUSER | unix.CLONE_NEWNS, unix.EINVAL, nil, nil},
			{"user, mnt and pid", unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID, unix.EINVAL, nil, nil},
		} {
			want := test.plain
			switch {
			case c.UserNS && root:
				want = test.root
			case c.UserNS:
				want = test.user
			}
			if err := n.enters(t, test.flags); err != want {
				t.Errorf("%s: %v, want %v", test.name, err, want)
			}
		}
	})
}
