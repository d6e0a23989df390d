package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on Linux.
const clockTick = 10 * time.Millisecond

// cpuTime is what a process has used so far, its ended children included.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0 // it has ended; what it used is with its parent
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

func cpuOf(t testing.TB, pids []int) (sum time.Duration) {
	for _, pid := range pids {
		sum += cpuTime(t, pid)
	}
	return sum
}

// processes are Postfix's master and its children.
func (p *postfix) processes(t testing.TB) []int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(p.dir), "queue/pid/master.pid"))
	if err != nil {
		t.Fatal(err)
	}
	master := strings.TrimSpace(string(b))
	pid, err := strconv.Atoi(master)
	if err != nil {
		t.Fatal(err)
	}
	pids := []int{pid}
	children, err := os.ReadFile(filepath.Join("/proc", master, "task", master, "children"))
	if err != nil {
		t.Fatal(err)
	}
	for f := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
