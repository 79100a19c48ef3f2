package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// TestSortABigFile forwards bigLines lines to a command that writes nothing before it has read all
// of them.
func TestSortABigFile(t *testing.T) {
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		lines, shuffle := bigLines, 1_234_577 // coprime
		in, err := os.Create(p.path("big"))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		w := bufio.NewWriterSize(in, 1<<20)
		for i := range lines {
			fmt.Fprintf(w, "line %014d\n", i*shuffle%lines)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("runnel", "run", "--", "sort")
		cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = p.dir, p.env(), in, os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sorted := bufio.NewScanner(out)
		var want []byte
		for i := range lines {
			want = fmt.Appendf(want[:0], "line %014d", i)
			if !sorted.Scan() || string(sorted.Bytes()) != string(want) {
				t.Errorf("line %d is %q (%v)", i, sorted.Bytes(), sorted.Err())
				break
			}
		}
		rest, _ := io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil || rest != 0 {
			t.Errorf("%v, with %d bytes more", err, rest)
		}
	})
}
