package local

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"aliasmx/internal/mail"
)

// errOtherUser: only root can act as somebody else.
var errOtherUser = errors.New("only root can act as another user")

// as calls f with the rights of a user in the file system; with none in particular, with
// our own. Linux keeps the user and the groups that count for files for each thread, so f
// runs on a thread of its own, which ends with it. That is what the set_eugid(3) of
// Postfix comes to for files.
func (s *settings) as(u User, f func()) error {
	if u.UID == 0 || u.UID == s.self {
		f()
		return nil
	}
	if s.self != 0 {
		return errOtherUser
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := assume(u)
		if err == nil {
			err = guarded(f)
		}
		// If it is the main thread it does not end, and must be root's again.
		result <- errors.Join(err, assume(User{}))
	}()
	return <-result
}

// guarded makes a panic an error: outside of the goroutine that was asked to deliver
// nobody would catch it.
func guarded(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	f()
	return nil
}

// assume changes the rights of the calling thread alone.
func assume(u User) error {
	group := uint32(u.GID)
	if err := setGroups([]uint32{group}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := setFS(syscall.SYS_SETFSGID, u.GID); err != nil {
		return fmt.Errorf("setfsgid %d: %w", u.GID, err)
	}
	if err := setFS(syscall.SYS_SETFSUID, u.UID); err != nil {
		return fmt.Errorf("setfsuid %d: %w", u.UID, err)
	}
	return nil
}

// setFS sets and checks: the system call tells the id before, and nothing of failure.
func setFS(call uintptr, id int) error {
	syscall.RawSyscall(call, uintptr(id), 0, 0)
	if now, _, _ := syscall.RawSyscall(call, ^uintptr(0), 0, 0); int(now) != id {
		return syscall.EPERM
	}
	return nil
}

// cannotBecome defers what takes the rights of another user than ours.
func (d *delivery) cannotBecome(st state, what string, err error) bool {
	u := d.acting(st)
	who := fmt.Sprintf("uid %d", d.self)
	if us, lookupErr := d.UserByID(d.self); lookupErr == nil {
		who = us.Name
	}
	reason := fmt.Sprintf("cannot %s as user %s: %v", what, u.Name, err)
	if errors.Is(err, errOtherUser) {
		reason = fmt.Sprintf("cannot %s as user %s: the mail system runs as %s and not as root", what, u.Name, who)
		d.warn("%s; start it as root without mail_owner, give the file to %s, or set default_privs = %s for the aliases of root", reason, who, who)
	} else {
		d.warn("%s", reason)
	}
	return d.fails(st, mail.Code(4, 3, 5), "%s", reason)
}

func ownerOfFile(info os.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// strerror is an error in the words that operators search for: "Permission denied".
func strerror(err error) string {
	text := err.Error()
	if _, ok := errors.AsType[syscall.Errno](err); ok && text != "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}
