package sandbox

import (
	"strings"
	"testing"
)

// TestSystemDirectories checks that only an absolute path makes a system directory writable.
func TestSystemDirectories(t *testing.T) {
	var profiles *Profiles
	const refused = "is the root or in a system directory here"
	for dir, want := range map[string]string{
		"/": refused, "/etc": refused, "/etc/cron.d": refused, "/usr": refused, "/usr/local/bin": refused, "/usr/src": refused,
		"/lib64": refused, "/boot/efi": refused,
		"/root": "", "/usr/src/app": "", "/usr/local/src/x": "", "/var/www": "", "/opt/x": "", "/etcetera": "", "/home/u/etc": "",
	} {
		text := func(err error) string {
			if err == nil {
				return ""
			}
			return err.Error()
		}
		for name, err := range map[string]error{
			"workspace": second(profiles.Complete(&Request{Profile: Workspace}, nil, Place{Dir: dir})),
			"floor":     second(profiles.Floor(Workspace, Place{Dir: dir})),
			"relative":  second(profiles.Complete(&Request{"", Partial{Files: []Rule{{Path: "./", Access: Write}}}}, nil, Place{Dir: dir})),
			"home":      second(profiles.Complete(&Request{"", Partial{Files: []Rule{{Path: "~", Access: Write}}}}, nil, Place{Dir: "/", Home: dir})),
		} {
			if got := text(err); !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s in %s: %q, want %q", name, dir, got, want)
			}
		}
		for _, rule := range []Rule{{Path: ".", Access: Read}, {Path: dir, Access: Write}} {
			if _, err := profiles.Complete(&Request{"", Partial{Files: []Rule{rule}}}, nil, Place{Dir: dir}); err != nil {
				t.Errorf("%v in %s: %v", rule, dir, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
