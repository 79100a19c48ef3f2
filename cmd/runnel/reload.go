package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// Files are read again when they have not changed for reloadQuiet, at the latest reloadLatest after
// their first change: an editor may write a file in several steps.
const (
	reloadQuiet  = 50 * time.Millisecond
	reloadLatest = 300 * time.Millisecond
)

// reloader reads files of the configuration again: all of them on SIGHUP (see reloadsOnHangup), and
// those that have changed when the kernel reports a change in their directories (inotify(7)). All
// functions are called by the goroutine of run.
type reloader struct {
	log   zerolog.Logger
	parts []*reloadPart
	// done is called after a reload of which a part succeeded. Report, which may be nil, is called for
	// each part; the error is nil if it succeeded.
	done   func()
	report func(what, file string, err error)
}

// reloadPart is a part of the configuration that is reloaded as a whole.
type reloadPart struct {
	what  string // tokens, policy, …
	files []string
	load  func() error // keeps the old content if there is an error
	seen  []fileState

	failure error // of the newest reload, or nil
}

// add registers a part of the configuration. load reads its files; if it returns an error, the old
// content must stay in force.
func (r *reloader) add(what string, load func() error, files ...string) {
	p := &reloadPart{what: what, files: files, load: load}
	p.seen = p.states()
	r.parts = append(r.parts, p)
}

// begin registers a part and reads its files for the first time.
func (r *reloader) begin(what string, load func() error, files ...string) error {
	r.add(what, load, files...)
	return load()
}

// start runs the reloader in a goroutine. stop ends it and waits for it.
func (r *reloader) start(hangup <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.run(ctx, hangup) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// run reloads until ctx is done.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	changes, closeWatch := r.watch()
	defer closeWatch()
	r.reload(r.changed()) // since the files were read for the first time
	var first time.Time   // of the changes that were not looked at
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			r.reload(r.parts)
		case <-changes:
			if quiet == nil {
				first = time.Now()
			}
			quiet = time.After(min(reloadQuiet, time.Until(first.Add(reloadLatest))))
		case <-quiet:
			quiet = nil
			r.reload(r.changed())
		}
	}
}

// reload reloads parts, and those that could not be reloaded before, and calls done if one has
// succeeded. A part may be valid only with the new content of another one, as a token with the policy
// for its principal; so those that fail are tried again after the others.
func (r *reloader) reload(parts []*reloadPart) {
	if len(parts) == 0 {
		return
	}
	for _, p := range r.parts {
		if p.failure != nil && !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	failed := loadAll(parts)
	succeeded := len(failed) < len(parts)
	if succeeded {
		loadAll(failed)
	}
	for _, p := range parts {
		if p.failure != nil {
			r.log.Error().Err(p.failure).Str("what", p.what).Msg("configuration not reloaded")
		} else {
			r.log.Info().Str("what", p.what).Msg("configuration reloaded")
		}
		if r.report != nil {
			r.report(p.what, p.file(), p.failure)
		}
	}
	if succeeded && r.done != nil {
		r.done()
	}
}

// loadAll loads parts, and returns those that failed.
func loadAll(parts []*reloadPart) (failed []*reloadPart) {
	for _, p := range parts {
		p.seen = p.states() // before the files are read: a later change is noticed
		if p.failure = p.load(); p.failure != nil {
			failed = append(failed, p)
		}
	}
	return failed
}

// changed returns the parts of which a file has changed.
func (r *reloader) changed() (all []*reloadPart) {
	for _, p := range r.parts {
		now := p.states()
		for i := range now {
			if now[i] != p.seen[i] {
				all = append(all, p)
				break
			}
		}
	}
	return all
}

// watch returns a channel that receives when something changes in the directories of the files. If
// they cannot be watched, only SIGHUP makes the server read them.
func (r *reloader) watch() (changes <-chan struct{}, closeWatch func()) {
	if len(r.parts) == 0 {
		return nil, func() {}
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		r.log.Warn().Err(err).Msg("changes of the configuration are not noticed")
		return nil, func() {}
	}
	for _, dir := range r.directories() {
		if err := w.Add(dir); err != nil {
			r.log.Warn().Err(err).Str("directory", dir).Msg("changes of the configuration are not noticed")
		}
	}
	found := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case _, ok := <-w.Events:
				if !ok {
					return
				}
			case _, ok := <-w.Errors: // an overflow of the kernel's queue: something has changed
				if !ok {
					return
				}
			}
			select {
			case found <- struct{}{}:
			default:
			}
		}
	})
	return found, func() {
		_ = w.Close()
		wg.Wait()
	}
}

// directories returns those of the files, and those of the files that symbolic links point to.
func (r *reloader) directories() []string {
	known := map[string]bool{}
	var all []string
	for _, p := range r.parts {
		for _, file := range p.files {
			real, _ := filepath.EvalSymlinks(file)
			for _, name := range []string{file, real} {
				if dir := filepath.Dir(name); name != "" && !known[dir] {
					known[dir] = true
					all = append(all, dir)
				}
			}
		}
	}
	return all
}

// fileState is what changes when a file is written or replaced (inode(7)). The zero value is a
// missing file.
type fileState struct {
	dev, ino uint64
	size     int64
	mode     fs.FileMode
	changed  syscall.Timespec
}

// file returns the first file, or "".
func (p *reloadPart) file() string {
	if len(p.files) == 0 {
		return ""
	}
	return p.files[0]
}

func (p *reloadPart) states() []fileState {
	all := make([]fileState, len(p.files))
	for i, file := range p.files {
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		all[i] = fileState{size: info.Size(), mode: info.Mode()}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			all[i].dev, all[i].ino, all[i].changed = uint64(st.Dev), st.Ino, changeTime(st)
		}
	}
	return all
}

// notifyHangup returns a channel that receives when the configuration is to be read again. Signals
// that arrive before it is read count as one.
func notifyHangup() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	if reloadsOnHangup() {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// reloadsOnHangup reports whether SIGHUP makes a server read its configuration again. It does not if
// the server has a controlling terminal, whose end it means, or was started with it ignored, as by
// nohup(1).
var reloadsOnHangup = sync.OnceValue(func() bool {
	if signal.Ignored(syscall.SIGHUP) {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0) // see tty(4)
	if err == nil {
		_ = tty.Close()
		return false
	}
	return errors.Is(err, syscall.ENXIO)
})
