package local

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Locks on mailbox files (postconf(5): mailbox_delivery_lock).

const lockSuffix = ".lock"

// dotLock makes the lock file of a mailbox. A lock that is very old is broken: who made
// it has died.
func (d *delivery) dotLock(path string) error {
	name := path + lockSuffix
	for try := 1; ; try++ {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0)
		if err == nil {
			return f.Close()
		}
		if !errors.Is(err, fs.ErrExist) || try >= d.LockAttempts {
			return err
		}
		if info, err := os.Stat(name); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok && d.Now().Sub(time.Unix(st.Ctim.Unix())) > d.StaleLockTime {
				if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
		if !d.pause() {
			return err
		}
	}
}

// lockFile locks an open file in the ways that are wanted.
func (d *delivery) lockFile(f *os.File) error {
	for _, style := range d.MailboxLocks {
		var lock func() error
		switch style {
		case "fcntl":
			lock = func() error {
				return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: 0})
			}
		case "flock":
			lock = func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
		default:
			continue
		}
		for try := 1; ; try++ {
			err := lock()
			if err == nil {
				break
			}
			if try >= d.LockAttempts || !d.pause() {
				if errors.Is(err, syscall.EACCES) { // POSIX allows this for a lock of another
					err = syscall.EAGAIN
				}
				return err
			}
		}
	}
	return nil
}

// pause waits deliver_lock_delay, and up to half as much more so that those who wait for
// the same lock do not come back together. It tells whether to go on.
func (d *delivery) pause() bool {
	timer := time.NewTimer(d.LockDelay + rand.N(d.LockDelay/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}
