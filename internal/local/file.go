package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"aliasmx/internal/mail"
)

// A file of an alias gets the message appended in mbox format, as deliver_file,
// mbox_open(3) and safe_open(3) of Postfix do it.

// file delivers to a file, or to a maildir where the path ends in a slash.
func (d *delivery) file(st state, path string) bool {
	st.level++
	key, before := d.been("file %d %s", st.rights.UID, path)
	if before {
		return false
	}
	if !slices.Contains(d.AllowFiles, string(st.source)) {
		return d.failsForOwner(st, failure(mail.Code(5, 7, 1), "mail to file is restricted"))
	}
	user := d.acting(st)
	if d.dry {
		if trouble := d.fileTrouble(path); trouble != "" {
			d.warn("file %s: %s", path, trouble)
		}
		d.step("is written as %s: %s", user.Name, path)
		return d.sent(st, "delivers to file: %s", path)
	}
	var o outcome
	become := d.as(user, func() {
		if strings.HasSuffix(path, "/") {
			o = d.maildir(st, path)
		} else {
			o = d.mailbox(st, path)
		}
	})
	switch {
	case become != nil:
		return d.cannotBecome(st, "write to "+path, become)
	case o.ok():
		d.done[key] = true
		return d.sent(st, "%s", o.reason)
	case strings.HasSuffix(path, "/"):
		return d.fails(st, o.code, "maildir delivery failed: %s", o.reason)
	}
	o.reason = "cannot append message to file " + path + ": " + o.reason
	return d.failsForOwner(st, o)
}

// mailbox appends to a file. It runs with the rights of the recipient.
func (d *delivery) mailbox(st state, path string) outcome {
	info, err := os.Stat(path)
	regular := err != nil || info.Mode().IsRegular()
	if regular && slices.Contains(d.MailboxLocks, "dotlock") {
		switch err := d.dotLock(path); {
		case err == nil:
			defer os.Remove(path + lockSuffix)
		case errors.Is(err, fs.ErrExist):
			return failure(mail.Code(4, 2, 0), "unable to create lock file %s%s: %s", path, lockSuffix, reasonOf(err))
		default: // a directory where others may not write: the other lock has to do
			d.warn("unable to create lock file %s%s: %s", path, lockSuffix, reasonOf(err))
		}
	}
	f, info, o := openMailbox(path)
	if f == nil {
		return o
	}
	defer f.Close()
	if !info.Mode().IsRegular() {
		// A pipe or a terminal may stop taking what we write; what has no deadlines will not.
		_ = f.SetWriteDeadline(d.Now().Add(d.CommandTimeLimit))
		return d.appendTo(st, f, info, path)
	}
	if err := d.lockFile(f); err != nil {
		return failure(mailboxCode(err, mail.Code(5, 2, 0)), "unable to lock for exclusive access: %s", reasonOf(err))
	}
	if now, err := f.Stat(); err != nil || links(now) != 1 {
		return failure(mail.Code(4, 2, 0), "target file status changed unexpectedly")
	}
	if info.Mode().Perm()&0o111 != 0 {
		return failure(mail.Code(5, 7, 1), "file is executable")
	}
	return d.appendTo(st, f, info, path)
}

// openMailbox opens or makes a file. It follows no symbolic link but root's own, and
// takes no file that has a second name: either could be a trap for whoever writes.
func openMailbox(path string) (*os.File, os.FileInfo, outcome) {
	f, info, o, err := openExisting(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, info, o
	}
	f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, fs.ErrExist) {
		f, info, o, _ = openExisting(path)
		return f, info, o
	}
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil {
		return nil, nil, failure(mailboxCode(err, mail.Code(5, 2, 0)), "cannot create file exclusively: %s", reasonOf(err))
	}
	return f, info, outcome{}
}

func openExisting(path string) (*os.File, os.FileInfo, outcome, error) {
	refuse := func(format string, args ...any) (*os.File, os.FileInfo, outcome, error) {
		return nil, nil, failure(mail.Code(5, 2, 0), format, args...), nil
	}
	// Not blocking: a pipe that nobody reads must not hold us up.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, failure(mailboxCode(err, mail.Code(5, 2, 0)), "cannot open file: %s", reasonOf(err)), err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return refuse("cannot open file: %s", reasonOf(err))
	}
	why := ""
	at, err := os.Lstat(path)
	switch {
	case links(info) != 1:
		why = fmt.Sprintf("file has %d hard links", links(info))
	case err != nil:
		why = "file status changed unexpectedly: " + reasonOf(err)
	case at.Mode()&fs.ModeSymlink != 0:
		if !rootsLink(path, at) {
			why = "file is a symbolic link"
		}
	case !os.SameFile(info, at) || links(at) != links(info) || at.Mode() != info.Mode():
		why = "file status changed unexpectedly"
	}
	if why != "" {
		f.Close()
		return refuse("%s", why)
	}
	return f, info, outcome{}, nil
}

// rootsLink tells whether a symbolic link is root's, in a directory that only root can
// write to.
func rootsLink(path string, link os.FileInfo) bool {
	uid, ok := ownerOfFile(link)
	dir, err := os.Stat(filepath.Dir(path))
	if !ok || uid != 0 || err != nil {
		return false
	}
	owner, ok := ownerOfFile(dir)
	return ok && owner == 0 && dir.Mode().Perm()&0o022 == 0
}

// appendTo writes the message to the end of an open file. When that fails, a regular file
// is as long as before.
func (d *delivery) appendTo(st state, f *os.File, info os.FileInfo, path string) outcome {
	regular := info.Mode().IsRegular()
	var size int64
	if regular {
		end, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return failure(mail.Code(4, 3, 0), "error writing message: %s", reasonOf(err))
		}
		size = end
	}
	err := d.writeMailbox(st, f, size)
	if err == nil && regular {
		err = f.Sync()
	}
	if err == nil {
		return outcome{code: mail.Code(2, 0, 0), reason: "delivered to file: " + path}
	}
	if regular {
		_ = f.Truncate(size) // there is nobody to be told of this as well
	}
	if e, ok := errors.AsType[*readError](err); ok {
		return failure(mail.Code(4, 3, 0), "error reading message: %s", reasonOf(e.err))
	}
	return outcome{
		code: mailboxCode(err, mail.Code(5, 3, 0)), reason: "error writing message: " + reasonOf(err),
		reply: "input/output error", replyType: "x-unix",
	}
}

// readError is that of the queue, not of the file.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// writeMailbox writes a message with what stands before and after it in an mbox file.
func (d *delivery) writeMailbox(st state, f *os.File, size int64) error {
	w := bufio.NewWriterSize(&limitedFile{f: f, left: d.MailboxSizeLimit - size, limited: d.MailboxSizeLimit > 0}, 64<<10)
	if _, err := w.WriteString(d.above(st, copyFile, true)); err != nil {
		return err
	}
	if err := d.writeMessage(w, true); err != nil {
		return err
	}
	if err := w.WriteByte('\n'); err != nil {
		return err
	}
	return w.Flush()
}

// writeMessage writes the message with LF as line ends.
func (d *delivery) writeMessage(w io.Writer, quote bool) error {
	m, err := message(d.a)
	if err != nil {
		return &readError{err}
	}
	defer m.Close()
	u := &unixWriter{w: w, quote: quote}
	buf := make([]byte, 32<<10)
	for {
		n, err := m.Read(buf)
		if n > 0 {
			if _, err := u.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return u.end()
		}
		if err != nil {
			return &readError{err}
		}
	}
}

// limitedFile is a file that must not grow over mailbox_size_limit.
type limitedFile struct {
	f       *os.File
	left    int64
	limited bool
}

func (l *limitedFile) Write(p []byte) (int, error) {
	if l.limited {
		if l.left -= int64(len(p)); l.left < 0 {
			return 0, syscall.EFBIG
		}
	}
	return l.f.Write(p)
}

// mailboxCode is the status for an error at a mailbox (mbox_dsn(3)).
func mailboxCode(err error, otherwise mail.Enhanced) mail.Enhanced {
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ESTALE), errors.Is(err, context.Canceled):
		return mail.Code(4, 2, 0)
	case errors.Is(err, syscall.ENOSPC):
		return mail.Code(4, 3, 0)
	case errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return mail.Code(5, 2, 2)
	}
	return otherwise
}

func links(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// fileTrouble is what speaks against a file before anything is written to it.
func (s *settings) fileTrouble(path string) string {
	info, err := os.Stat(path)
	if strings.HasSuffix(path, "/") {
		if err == nil && !info.IsDir() {
			return "it is not a directory"
		}
		return ""
	}
	switch {
	case err == nil && info.IsDir():
		return "it is a directory; end the name with a slash to make it a maildir"
	case err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0:
		return "it is executable"
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return "there is no directory " + filepath.Dir(path)
		}
	}
	return ""
}
