package postconf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// EditMode is what Edit does to the parameters it is given.
type EditMode int

const (
	Assign     EditMode = iota // -e: give them values
	Exclude                    // -X: remove their lines
	CommentOut                 // -#: put a # before their lines
)

// Edit changes main.cf as postconf -e, -X and -# do. Comments, order and all other
// lines stay. A parameter that is set more than once is changed wherever it is, with a
// warning; one that is not there is added at the end. The file is replaced as a whole
// or not at all, and two edits at a time come one after the other.
func Edit(dir string, mode EditMode, edits []Assignment) (warnings []string, err error) {
	file := filepath.Join(dir, "main.cf")
	for _, e := range edits {
		if strings.ContainsAny(e.Name+e.Value, "\n\x00") {
			return nil, fmt.Errorf("the value of %s has more than one line", shown(e.Name))
		}
		if e.Name == "" || strings.ContainsAny(e.Name, space+"=") || e.Name[0] == '#' {
			return nil, fmt.Errorf("%s cannot be the name of a parameter", shown(e.Name))
		}
	}
	// A link stays a link: configuration kept elsewhere is edited there.
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	unlock, err := lockDirectory(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	defer unlock()
	old, err := os.ReadFile(target)
	if err != nil {
		return nil, err
	}
	data, repeated := edited(old, mode, edits)
	for _, name := range repeated {
		warnings = append(warnings, fmt.Sprintf("%s: multiple entries for %q", file, name))
	}
	return warnings, replaceFile(target, data)
}

// edited is main.cf with the edits made, and the names that it sets more than once.
func edited(old []byte, mode EditMode, edits []Assignment) (data []byte, repeated []string) {
	values := make(map[string]string, len(edits))
	for _, e := range edits {
		values[e.Name] = trimSpace(e.Value)
	}
	var out bytes.Buffer
	found := make(map[string]int)
	inside := false // in the lines of a parameter that is edited
	for line := range strings.Lines(string(old)) {
		content := strings.TrimLeft(line, space)
		if content == "" || content[0] == '#' {
			out.WriteString(line)
			continue
		}
		name := ""
		if !isSpace(line[0]) {
			name = content[:strings.IndexAny(content+"=", space+"=")]
			_, inside = values[name]
		}
		switch {
		case !inside:
			out.WriteString(line)
			continue
		case mode == CommentOut:
			out.WriteString("#" + line)
		case mode == Assign && name != "":
			fmt.Fprintf(&out, "%s = %s\n", name, values[name])
		}
		if name != "" {
			if found[name]++; found[name] == 2 {
				repeated = append(repeated, name)
			}
		}
	}
	if mode != Assign {
		return out.Bytes(), repeated
	}
	if b := out.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		out.WriteByte('\n')
	}
	for _, e := range edits {
		if found[e.Name]++; found[e.Name] == 1 {
			fmt.Fprintf(&out, "%s = %s\n", e.Name, values[e.Name])
		}
	}
	return out.Bytes(), repeated
}

// lockDirectory waits until nobody else edits a file of the directory.
func lockDirectory(dir string) (unlock func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		d.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return d.Close, nil
}

// replaceFile puts data in the place of a file, with its owner and mode.
func replaceFile(name string, data []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it has been renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		// Only root can give a file away; for anybody else it is the owner's anyway.
		if os.Geteuid() == 0 {
			err = f.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}
