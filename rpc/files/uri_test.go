package files

import (
	"errors"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for _, c := range []struct{ uri, path string }{
		{"file:///tmp/a.txt", "/tmp/a.txt"},
		{"file://localhost/tmp", "/tmp"},
		{"file://LOCALHOST/tmp", "/tmp"},
		{"FILE:///tmp", "/tmp"},
		{"file:/tmp", "/tmp"},
		{"file:///", "/"},
		{"file:////tmp//x/", "//tmp//x/"},
		{"file:///a%2etxt", "/a.txt"},
		{"file:///%FF%fe", "/\xff\xfe"},
		{"file:///%E4%B8%96 %25", "/世 %"},
		{"file:///a%3Fb%23c", "/a?b#c"},
		{"file:///C:/x", "/C:/x"},
		{`file:///a\b`, `/a\b`},
	} {
		if path, err := ParseURI(c.uri); err != nil || path != c.path {
			t.Errorf("%q: %q, %v, want %q", c.uri, path, err, c.path)
		}
	}
	for _, uri := range []string{
		"", "/tmp", "tmp", "http://x/tmp", "file", "file:", "file:tmp", "file://", "file://host/tmp", "file://host:80/tmp",
		"file://localhost:80/tmp", "file://user@/tmp", "file://:80/tmp", "file:///tmp?", "file:///tmp?q", "file:///tmp#", "file:///tmp#f",
		"file:///a%00b", "file:///a%2Fb", "file:///a%2fb", "file:///..%2f..", "file:///%", "file:///%zz", "file:///../tmp",
		"file:///tmp/%2e%2e", "file:///tmp/..", "file:///a\x00b", "file:///a\nb", "file://%2ftmp", "file://localhost",
		"file:///" + strings.Repeat("a", MaxPathBytes), "file:///" + strings.Repeat("a", MaxURIBytes),
	} {
		if path, err := ParseURI(uri); !errors.Is(err, ErrInvalidPath) {
			t.Errorf("%.80q: %q, %v", uri, path, err)
		}
	}
}

// TestFormatURI has the URI that Codex's own server sends for such a file.
func TestFormatURI(t *testing.T) {
	path := "/a!\"#$%&'()*+,-.:;<=>?@[\\]^_`{|}~ é\x01\x7f"
	want := "file:///a!%22%23$%25&'()*+,-.:;%3C=%3E%3F@[%5C]^_%60%7B|%7D~%20%C3%A9%01%7F"
	if got := FormatURI(path); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if back, err := ParseURI(want); err != nil || back != path {
		t.Errorf("%q, %v", back, err)
	}
}

func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{"file:///tmp/a", "file:/x", "file://localhost/%FF", "file:///a%2fb", "file:///a?b", "file:///%25%00", "file://h/x", "file:///.."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		path, err := ParseURI(uri)
		if err != nil {
			if !errors.Is(err, ErrInvalidPath) {
				t.Fatalf("%q: %v", uri, err)
			}
			path = "/" + strings.ReplaceAll(uri, "\x00", "") // as a path
		}
		if (Path{Name: path}).check() != nil {
			if err == nil {
				t.Fatalf("%q: the path %q is not valid", uri, path)
			}
			return
		}
		if back, err := ParseURI(FormatURI(path)); err != nil || back != path {
			t.Fatalf("%q becomes %q, %v", path, back, err)
		}
	})
}
