package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// instance is this server among all that there are: a number, and a file of that name in the state directory that is
// locked (flock(2)) for as long as the process lives, however it ends. In it stands what the next one has to look for.
type instance struct {
	number   uint64
	file     *os.File       // nil without a state directory
	identity serverIdentity // once recorded
}

// word is the content of the file.
type serverIdentity struct {
	PID     int      `json:"pid"`
	Boot    string   `json:"boot_id"`
	Cgroups []string `json:"cgroups"`
}

// keeperWait is how long a server that starts waits for the keeper of one that died.
const keeperWait = 5 * time.Second

func nameOf(number uint64) string { return fmt.Sprintf("runnel-%08x", number) }

func (i *instance) name() string { return nameOf(i.number) }

func newInstance(stateDir string) (*instance, error) {
	if stateDir == "" {
		return &instance{number: newNumber()}, nil
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	for {
		i := &instance{number: newNumber()}
		path := filepath.Join(stateDir, i.name())
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		i.file = f
		err = lock(f)
		if err == nil && stillAt(f, path) { // else one that looks for crashed servers was quicker
			return i, nil
		}
		_ = f.Close()
		if err != nil && err != unix.EWOULDBLOCK { // a file system without locks
			_ = os.Remove(path)
			return nil, &os.PathError{Op: "flock", Path: path, Err: err}
		}
	}
}

func newNumber() uint64 { return 1 + rand.Uint64N(maxInstance-1) }

func lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// flock does not wait: EWOULDBLOCK says that another one has the lock.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err != unix.EINTR {
			return err
		}
	}
}

func stillAt(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// record writes down which groups this server may make, before it makes any.
func (i *instance) record(own hierarchies) error {
	w := serverIdentity{PID: os.Getpid(), Boot: procfs.BootID()}
	if own.unified != "" {
		w.Cgroups = append(w.Cgroups, filepath.Join(own.unified, i.name()))
	}
	for _, controller := range limiting {
		if dir := own.v1[controller]; dir != "" {
			w.Cgroups = append(w.Cgroups, filepath.Join(dir, i.name()))
		}
	}
	i.identity = w
	if i.file == nil {
		return nil
	}
	text, err := json.Marshal(w)
	if err == nil {
		_, err = i.file.WriteAt(append(text, '\n'), 0)
	}
	return err
}

// close gives the number back; what is not clean is left for the next one.
func (i *instance) close(clean bool) {
	if i.file == nil {
		return
	}
	if clean {
		_ = os.Remove(i.file.Name())
	}
	_ = i.file.Close()
}

// recoverCrashed ends what servers left that died before they could, all that have their state in this directory.
func recoverCrashed(stateDir string) (r Recovery, err error) {
	if stateDir == "" {
		return r, nil
	}
	entries, err := os.ReadDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		var number uint64
		if n, err := fmt.Sscanf(e.Name(), "runnel-%x", &number); n != 1 || err != nil || nameOf(number) != e.Name() {
			continue
		}
		if err := recoverOne(filepath.Join(stateDir, e.Name()), number, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func recoverOne(path string, number uint64, r *Recovery) error {
	f, err := openState(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // another user's: what it left is not ours to end
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if !lockDead(f) || !stillAt(f, path) {
		return nil // it lives, or another one is at it, or was
	}
	var w serverIdentity
	_ = json.NewDecoder(f).Decode(&w) // an empty one: it died before it could hold anything
	left := 0
	if w.Boot == procfs.BootID() {
		r.Servers++
		killed := 0
		killed, left = endTrees(&w, number, nil)
		r.Processes += killed
		r.Left += left
	}
	if left == 0 {
		return os.Remove(path)
	}
	return nil
}

// lockDead takes the lock of a dead server's file. It returns false if another server has it. It waits at most keeperWait for
// the dead server's keeper, which has a shared lock.
func lockDead(f *os.File) bool {
	for end := time.Now().Add(keeperWait); time.Now().Before(end); time.Sleep(firstLook) {
		if lock(f) == nil {
			return true
		}
		if flock(f, unix.LOCK_SH) != nil {
			return false
		}
		_ = flock(f, unix.LOCK_UN)
	}
	return false
}

// openState opens a state file. Anything else in its place, a FIFO for example, is an error, and is not waited for.
func openState(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("state file %s: not a regular file", path)
	}
	return f, nil
}

// endTrees kills all processes that a server left, in its groups and by its marks. There is no grace.
func endTrees(w *serverIdentity, number uint64, kept []trackedGroup) (killed, left int) {
	all, killable := leftoversOf(w, number, kept)
	for _, dir := range killable {
		n, err := emptyCgroup(dir, killWait)
		killed += n
		if err != nil {
			left++
		}
	}
	n, rest := killAll(all, killWait)
	for _, dir := range all.groups {
		if _, err := emptyCgroup(dir, orphanDelay); err != nil && rest == 0 {
			left++
		}
	}
	return killed + n, left + rest
}

// leftoversOf is the roster of all that a server left, and those of its control groups that the kernel kills as a whole.
func leftoversOf(w *serverIdentity, number uint64, kept []trackedGroup) (all leftovers, whole []string) {
	all = leftovers{markLister: markLister{func(mark uint64) bool { return instanceOf(mark) == number }}, kept: kept}
	for _, dir := range w.Cgroups {
		switch {
		case filepath.Base(dir) != nameOf(number):
		case killable(dir):
			whole = append(whole, dir)
		default:
			all.groups = append(all.groups, dir)
		}
	}
	return all, whole
}

// killable says whether the kernel kills all of a control group at a word.
func killable(dir string) bool {
	return unix.Access(filepath.Join(dir, "cgroup.kill"), unix.F_OK) == nil
}

// remains is the roster of who bears the marks of a server, is in a control group of version 1 of its, or in a process
// group.
type leftovers struct {
	markLister
	groups []string
	kept   []trackedGroup
}

func (l leftovers) each(f func(member)) error {
	had, own := make(map[int]bool), os.Getpid()
	once := func(m member) {
		if !had[m.PID] && m.PID != own {
			had[m.PID] = true
			f(m)
		}
	}
	var all []error
	for _, dir := range l.groups {
		all = append(all, eachMemberIn(dir, once))
	}
	if kept := slices.DeleteFunc(slices.Clone(l.kept), func(g trackedGroup) bool { return !g.ours() }); len(kept) > 0 {
		all = append(all, proctable.EachAlive(func(m member) {
			if inOneOf(kept, m) {
				once(m)
			}
		}))
	}
	return errors.Join(append(all, l.markLister.each(once))...)
}

func (l leftovers) send(m member, sig syscall.Signal) error {
	return proctable.Signal(m, sig, func(now member) (bool, error) {
		is, err := l.holds(m.PID)
		return is || inOneOf(l.kept, now), err
	})
}

// holds says whether a process bears a mark that is left, or is in one of the groups.
func (l leftovers) holds(pid int) (bool, error) {
	is, err := l.markLister.holds(pid)
	for _, dir := range l.groups {
		_ = eachMemberIn(dir, func(m member) { is = is || m.PID == pid })
	}
	return is, err
}

// killAll kills whoever is on the roster, until nobody is left or wait is over.
func killAll(all memberLister, wait time.Duration) (killed, left int) {
	had := make(map[member]bool)
	end := time.Now().Add(wait)
	quiet := 0
	for pause := firstLook; quiet < quietRounds && time.Now().Before(end); pause = min(2*pause, lastLook) {
		left = 0
		err := all.each(func(m member) {
			left++
			if all.send(m, syscall.SIGKILL) == nil {
				had[member{PID: m.PID, Start: m.Start}] = true
			}
		})
		if quiet++; left > 0 || err != nil {
			quiet = 0
			time.Sleep(pause)
		}
	}
	return len(had), left
}
