package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aliasmx/internal/postconf"
)

// A daemon whose disk fails ends at once (diskFailed). Who watches over it starts it again,
// and on a disk that fails now and then each life acknowledges some mail. So deaths are
// noted beside the store, and after three in ten minutes somebody has to look first.

const (
	deathLimit  = 3
	deathPeriod = 10 * time.Minute
	// deathPatience is how long a dying daemon tries to write that it dies: the disk that
	// does not answer is why it does.
	deathPatience = 2 * time.Second
)

func deathsFile(cfg *postconf.Config) string {
	return filepath.Join(cfg.Get("queue_directory"), "run", "deaths")
}

// noteDeath adds a death to the file, if the disk still lets it.
func noteDeath(path string, now time.Time) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := ""
		for _, at := range recentDeaths(path, now) {
			lines += at.UTC().Format(time.RFC3339) + "\n"
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return
		}
		defer f.Close()
		if _, err := f.WriteString(lines + now.UTC().Format(time.RFC3339) + "\n"); err == nil {
			_ = f.Sync()
		}
	}()
	select {
	case <-done:
	case <-time.After(deathPatience):
	}
}

// recentDeaths are those of the last ten minutes. A clock that was set makes some of them
// lie ahead: these count too. What is no time is not counted: the file is a help only.
func recentDeaths(path string, now time.Time) (deaths []time.Time) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(line))
		if err == nil && now.Sub(at).Abs() < deathPeriod && len(deaths) < 100 {
			deaths = append(deaths, at)
		}
	}
	return deaths
}

// checkDeaths refuses a start after too many.
func checkDeaths(path string, now time.Time) error {
	deaths := recentDeaths(path, now)
	if len(deaths) < deathLimit {
		return nil
	}
	return fmt.Errorf("the disk of the queue has failed %d times within %d minutes, last at %s: "+
		"look at the log, at the kernel's (dmesg) and at the health of the disk; then remove %s and start again",
		len(deaths), int(deathPeriod.Minutes()), deaths[len(deaths)-1].Local().Format("15:04:05"), path)
}
