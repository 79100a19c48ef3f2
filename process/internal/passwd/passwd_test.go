package passwd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const users = `# comment
root:x:0:0:root:/root:/bin/bash
alice:x:1000:100:Alice,,,:/home/alice:/bin/sh
alice:x:1001:100:second:/:/bin/false
other:x:1000:100::/:
77:x:2000:100::/numeric:/bin/sh
broken:x:1:1
minus:x:-1:1::/:/
huge:x:4294967295:1::/:/
+nis::::::
`

const groupsText = `root:x:0:
staff:x:50:alice,77
audio:x:29:alice,root
users:x:100:alice
broken:x:alice
`

func open(t testing.TB) (f *Files, usersPath string) {
	t.Helper()
	dir := t.TempDir()
	usersPath = filepath.Join(dir, "passwd")
	err := errors.Join(os.WriteFile(usersPath, []byte(users), 0o600), os.WriteFile(filepath.Join(dir, "group"), []byte(groupsText), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return Open(usersPath, filepath.Join(dir, "group")), usersPath
}

func TestAccount(t *testing.T) {
	f, _ := open(t)
	alice := Account{"alice", 1000, 100, "/home/alice", "/bin/sh"}
	for name, want := range map[string]Account{
		"root": {"root", 0, 0, "/root", "/bin/bash"}, "0": {"root", 0, 0, "/root", "/bin/bash"},
		"alice": alice, "1000": alice, "other": {"other", 1000, 100, "/", ""},
		"77": {"77", 2000, 100, "/numeric", "/bin/sh"}, "2000": {"77", 2000, 100, "/numeric", "/bin/sh"},
	} {
		if got, err := f.Account(name); got != want || err != nil {
			t.Errorf("Account(%q) = %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "nobody", "-1", "+0", "4294967295", "minus", "huge", "broken", "+nis", "# comment", "Root", "root\x00", " 0", "0x0"} {
		if got, err := f.Account(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("Account(%q) = %+v, %v", name, got, err)
		}
	}
}

func TestGroups(t *testing.T) {
	f, _ := open(t)
	for name, want := range map[string][]uint32{"alice": {29, 50, 100}, "77": {50, 100}, "root": {0, 29}} {
		a, err := f.Account(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.GroupsOf(a); !slices.Equal(got, want) || err != nil {
			t.Errorf("GroupsOf(%q) = %v, %v", name, got, err)
		}
	}
	for name, want := range map[string]uint32{"staff": 50, "50": 50} {
		if got, err := f.Group(name); got != want || err != nil {
			t.Errorf("Group(%q) = %v, %v", name, got, err)
		}
	}
	if got, err := f.Group("51"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a group that does not exist: %v, %v", got, err)
	}
}

// TestChange checks that a changed file is read, and one that cannot be read is an error.
func TestChange(t *testing.T) {
	f, path := open(t)
	if _, err := f.Account("new"); !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(users+"new:x:3000:1::/:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Account("new"); !errors.Is(err, ErrUnknown) {
		t.Error("the file is read again within a second")
	}
	f.users.checked = time.Now().Add(-checkInterval)
	if a, err := f.Account("new"); err != nil || a.UID != 3000 {
		t.Errorf("%+v, %v", a, err)
	}
	f.users.checked = time.Now().Add(-checkInterval)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if a, err := f.Account("new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(users)
	f.Add(groupsText)
	f.Fuzz(func(t *testing.T, text string) {
		for name, a := range parseUsers(text).byName {
			if name != a.Name || a.UID == 1<<32-1 || a.GID == 1<<32-1 {
				t.Errorf("%q: %+v", name, a)
			}
		}
		for name, id := range parseGroups(text).byName {
			if name == "" || id == 1<<32-1 {
				t.Errorf("%q: %d", name, id)
			}
		}
	})
}
