package local

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"aliasmx/internal/mail"
)

// maildir delivers a file of its own into a directory with tmp, new and cur below, as
// deliver_maildir of Postfix does. It runs with the rights of the recipient.
func (d *delivery) maildir(st state, path string) outcome {
	now := d.Now()
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = d.MyHostname
	}
	host = strings.NewReplacer("/", `\057`, ":", `\072`).Replace(host)
	// The queue ID is ours alone while we hold the message, as Postfix's process ID is.
	temporary := fmt.Sprintf("%stmp/%d.P%d_%s_%d.%s", path, now.Unix(), os.Getpid(), d.a.Env.ID, d.number(), host)
	f, err := createIn(temporary, path+"tmp")
	if err != nil {
		return d.maildirFailed(st, temporary, err)
	}
	defer os.Remove(temporary)
	err = d.writeMaildir(st, f)
	info, statErr := f.Stat()
	if err = errors.Join(err, f.Close()); err == nil {
		err = statErr
	}
	if err != nil {
		if e, ok := errors.AsType[*readError](err); ok {
			return failure(mail.Code(4, 3, 0), "error reading message: %s", reasonOf(e.err))
		}
		return failure(mailboxCode(err, mail.Code(5, 3, 0)), "error writing message: %s", reasonOf(err))
	}
	var dev, ino uint64
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		dev, ino = uint64(sys.Dev), sys.Ino
	}
	final := fmt.Sprintf("%snew/%d.V%xI%xM%d.%s", path, now.Unix(), dev, ino, now.Nanosecond()/1000, host)
	err = os.Link(temporary, final)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(os.MkdirAll(path+"cur", 0o700), os.MkdirAll(path+"new", 0o700))
		if err == nil {
			err = os.Link(temporary, final)
		}
	}
	if err != nil {
		return d.maildirFailed(st, final, err)
	}
	return outcome{code: mail.Code(2, 0, 0), reason: "delivered to maildir"}
}

// number tells the maildirs of one message apart.
func (d *delivery) number() int { return len(d.targets) }

func createIn(name, dir string) (*os.File, error) {
	const how = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(name, how, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			f, err = os.OpenFile(name, how, 0o600)
		}
	}
	return f, err
}

func (d *delivery) writeMaildir(st state, f *os.File) error {
	w := bufio.NewWriterSize(&limitedFile{f: f, left: d.MailboxSizeLimit, limited: d.MailboxSizeLimit > 0}, 64<<10)
	if _, err := w.WriteString(d.above(st, copyFile, false)); err != nil {
		return err
	}
	if err := d.writeMessage(w, false); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func (d *delivery) maildirFailed(st state, name string, err error) outcome {
	reason := fmt.Sprintf("create maildir file %s: %s", name, reasonOf(err))
	if errors.Is(err, fs.ErrPermission) {
		u := d.acting(st)
		d.warn("maildir access problem for UID/GID=%d/%d: %s", u.UID, u.GID, reason)
		d.warn("perhaps you need to create the maildirs in advance")
	}
	return failure(mailboxCode(err, mail.Code(5, 2, 0)), "%s", reason)
}
