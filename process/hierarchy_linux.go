package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hierarchies are the directories of this process' own control groups, as far as they are to be seen here.
type hierarchies struct {
	unified string            // of version 2
	shown   string            // what /proc/PID/cgroup calls that
	v1      map[string]string // of version 1, by controller
}

var errNoCgroup2 = errors.New("no cgroup2 file system is mounted that shows this process' own control group")

// ownHierarchies reads /proc/self/cgroup (cgroups(7)) and /proc/self/mountinfo (proc_pid_mountinfo(5)).
func ownHierarchies() (hierarchies, error) {
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return hierarchies{}, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return hierarchies{}, err
	}
	return parseHierarchies(cgroups, mounts), nil
}

func parseHierarchies(cgroups, mounts []byte) hierarchies {
	unified, v1 := parseCgroups(cgroups)
	h := hierarchies{shown: unified, v1: make(map[string]string)}
	for line := range strings.Lines(string(mounts)) {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		switch m.kind {
		case "cgroup2":
			if dir := m.shows(unified); dir != "" && h.unified == "" {
				h.unified = dir
			}
		case "cgroup":
			for _, controller := range m.options {
				if dir := m.shows(v1[controller]); dir != "" && h.v1[controller] == "" {
					h.v1[controller] = dir
				}
			}
		}
	}
	return h
}

// parseCgroups reads lines of "number:controllers:path".
func parseCgroups(text []byte) (unified string, v1 map[string]string) {
	v1 = make(map[string]string)
	for line := range bytes.Lines(text) {
		fields := strings.SplitN(strings.TrimRight(string(line), "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if fields[0] == "0" && fields[1] == "" {
			unified = fields[2]
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			v1[controller] = fields[2]
		}
	}
	return unified, v1
}

type mount struct {
	root, point, kind string
	options           []string // of the file system
}

// parseMount reads "36 35 98:0 /root /point options tags… - type source options".
func parseMount(line string) (m mount, ok bool) {
	head, tail, ok := strings.Cut(line, " - ")
	before, after := strings.Fields(head), strings.Fields(tail)
	if !ok || len(before) < 5 || len(after) < 3 {
		return m, false
	}
	return mount{unescape(before[3]), unescape(before[4]), after[0], strings.Split(after[2], ",")}, true
}

// unescape undoes \040 and the like.
func unescape(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			s = s[:i] + string([]byte{byte(c)}) + s[i+4:]
		}
	}
	return s
}

// shows is the directory at which the mount shows a control group, or "".
func (m mount) shows(path string) string {
	rest, ok := strings.CutPrefix(path, strings.TrimRight(m.root, "/"))
	if path == "" || !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return ""
	}
	return filepath.Join(m.point, rest)
}

// controllers are those that a control group of version 2 can bound its children by.
func controllers(dir string) []string {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	return strings.Fields(string(text))
}

// delegate enables controllers for the children of a control group, and returns those that were not before.
func delegate(dir string, names []string) (enabled []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return nil, err
	}
	have := strings.Fields(string(text))
	for _, name := range names {
		if slices.Contains(have, name) {
			continue
		}
		if err := writeFile(filepath.Join(dir, "cgroup.subtree_control"), "+"+name); err != nil {
			return enabled, err
		}
		enabled = append(enabled, name)
	}
	return enabled, nil
}

// processesIn lists the processes of one control group, without those of its children.
func processesIn(dir string) (pids []int, err error) {
	pids, err = numbersIn(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, unix.EOPNOTSUPP) { // it is threaded (cgroups(7)), which a command with the rights of the server can do
		return processesOfThreadsIn(dir)
	}
	return pids, err
}

// processesOfThreadsIn lists the processes of which a thread is in a threaded control group.
func processesOfThreadsIn(dir string) (pids []int, err error) {
	tids, err := numbersIn(filepath.Join(dir, "cgroup.threads"))
	for _, tid := range tids {
		text, err := readFile("/proc/" + strconv.Itoa(tid) + "/status")
		if exhausted(err) {
			return nil, err
		}
		_, rest, _ := bytes.Cut(text, []byte("\nTgid:\t"))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if pid, err := strconv.Atoi(string(line)); err == nil && !slices.Contains(pids, pid) { // else it has ended
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// numbersIn reads numbers in lines.
func numbersIn(path string) (all []int, err error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// eachMemberIn calls f for every process that lives in a control group or below it.
func eachMemberIn(dir string, f func(member)) (err error) {
	buf := make([]byte, statBytes)
	listErr := eachCgroup(dir, false, func(dir string) error {
		pids, err2 := processesIn(dir)
		for _, pid := range pids {
			st, statErr := readStat(strconv.Itoa(pid), buf)
			if statErr != nil {
				err = statErr
			} else if st.living() && st.started != 0 {
				f(st.member(pid))
			}
		}
		if errors.Is(err2, os.ErrNotExist) { // a child that went meanwhile
			return nil
		}
		return err2
	})
	if err == nil {
		err = listErr
	}
	return err
}

// eachCgroup calls f for a control group and all below it, parents first, or children first with after.
func eachCgroup(dir string, after bool, f func(dir string) error) error {
	var below []string
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && info.Sys().(*syscall.Stat_t).Nlink > 2 { // each directory in it is a link
		below, err = subdirectories(dir)
	}
	if !after && err == nil {
		err = f(dir)
	}
	for _, name := range below {
		if err == nil {
			err = eachCgroup(filepath.Join(dir, name), after, f)
		}
	}
	if after && err == nil {
		err = f(dir)
	}
	return err
}

// removeCgroup removes a control group and all below it. It fails where somebody lives in one.
func removeCgroup(dir string) error {
	err := os.Remove(dir)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return eachCgroup(dir, true, func(dir string) error {
		if err := os.Remove(dir); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}
