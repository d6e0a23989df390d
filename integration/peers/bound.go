package peers

import (
	"os/exec"
	"runtime"
	"syscall"
)

// StartBound starts a program that ends when the test binary does, however that ends. The
// kernel goes by the thread that has started it, not by the process, and other tests have
// threads that end (namespace.go): so the one that starts a program here is kept for good.
func StartBound(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			select {}
		}
		runtime.UnlockOSThread()
	}()
	return <-started
}
