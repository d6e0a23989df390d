package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a command to be run.
type process struct {
	path  string
	argv  []string
	dir   string
	env   []string
	user  User
	stdin io.Reader
}

// ending is how it ended: in time or late, with a status or by a signal.
type ending struct {
	status, signal int
	late           bool // it was killed at command_time_limit
	cut            bool // it was killed because the mail system ends
	err            error
	output         string // printable
}

const (
	// outputLimit is how much of a command's output is kept, as in Postfix. What comes
	// after it is read and dropped: a command is not made to fail for talking.
	outputLimit = 4096
	// afterlife is how long the pipes are waited for when the command has ended, since
	// something that it left behind may hold them.
	afterlife = 5 * time.Second
)

// run runs a command and says what its end means. The command is the leader of a session
// and group of its own, so that all it has started can be killed with it.
func (d *delivery) run(line string, p process) outcome {
	e := runProcess(d.ctx, d.settings, p)
	if e.err != nil && e.status == 0 {
		// In the words of Postfix, whose child process fails and says so.
		text := "local: fatal: " + e.err.Error()
		d.warn("%s", e.err)
		e = ending{status: exTempFail, output: text + " "}
	}
	return judge(line, e)
}

func runProcess(ctx context.Context, s *settings, p process) ending {
	out := &output{}
	cmd := &exec.Cmd{
		Path: p.path, Args: p.argv, Dir: p.dir, Env: p.env,
		Stdin: p.stdin, Stdout: out, Stderr: out,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		WaitDelay:   afterlife,
	}
	if p.user.UID != s.self {
		cmd.SysProcAttr.Credential = &syscall.Credential{
			Uid: uint32(p.user.UID), Gid: uint32(p.user.GID), Groups: []uint32{uint32(p.user.GID)},
		}
	}
	if err := cmd.Start(); err != nil {
		return ending{err: startError(p, err)}
	}
	limitProcess(cmd.Process.Pid, s.MailboxSizeLimit)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	timer := time.NewTimer(s.CommandTimeLimit)
	defer timer.Stop()
	var e ending
	var err error
	select {
	case err = <-ended:
	case <-timer.C:
		e.late = true
	case <-ctx.Done():
		e.cut = true
	}
	if e.late || e.cut {
		// The group, and with it what the command has started.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		err = <-ended
	}
	e.output = out.String()
	e.read(cmd, err)
	return e
}

// read takes the status of an ended process. A process that has ended well has done its
// work, whether or not it read all of the message, and whatever it left behind.
func (e *ending) read(cmd *exec.Cmd, err error) {
	if state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		switch {
		case state.Signaled():
			e.signal = int(state.Signal())
		case state.Exited():
			e.status = state.ExitStatus()
		}
	}
	if e.signal != 0 || e.status != 0 || err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return
	}
	// The command is content, but it was not given the whole message.
	e.err = fmt.Errorf("error reading message: %w", err)
	e.status = exTempFail
}

// startError is why a command could not be started.
func startError(p process, err error) error {
	errno := err
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		errno = e
	}
	if p.dir != "" && unix.Access(p.dir, unix.X_OK) != nil {
		return fmt.Errorf("cannot change directory to %q for uid=%d gid=%d: %s", p.dir, p.user.UID, p.user.GID, strerror(errno))
	}
	return fmt.Errorf("execvp %s: %s", p.path, strerror(errno))
}

// limitProcess keeps a command from leaving a core, which may hold the mail of others, and
// from writing files without end (mailbox_size_limit). It is too late for a command that
// has ended, which is no harm.
func limitProcess(pid int, fileSize int64) {
	none := unix.Rlimit{}
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &none, nil)
	if fileSize > 0 {
		size := unix.Rlimit{Cur: uint64(fileSize), Max: uint64(fileSize)}
		_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &size, nil)
	}
}

// output keeps the beginning of what is written to it.
type output struct{ b bytes.Buffer }

func (o *output) Write(p []byte) (int, error) {
	if room := outputLimit - o.b.Len(); room > 0 {
		o.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// String is the output in one printable line.
func (o *output) String() string {
	text := strings.ToValidUTF8(o.b.String(), "_")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r < ' ' || r == 0x7f:
			return '_'
		}
		return r
	}, text)
}
