package main

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

	"aliasmx/internal/maillog"
	"aliasmx/internal/postconf"
)

// mailLog is where the daemon's log goes: the file of maillog_file, standard output,
// or syslog when none is named.
type mailLog struct {
	*slog.Logger
	file *maillog.File // nil: syslog, or a writer of the caller's
	stop func()
}

// openLog opens the log of a configuration; to, when not nil, takes all lines instead.
func openLog(cfg *postconf.Config, to io.Writer, as account) (*mailLog, error) {
	host, err := os.Hostname()
	if err != nil {
		host = cfg.Get("myhostname")
	}
	o := maillog.Options{
		Name:     cfg.Get("syslog_name"),
		Hostname: host,
		Out:      to,
		JSON:     cfg.Get("maillog_format") == "json",
		PID:      os.Getpid(),
		Now:      time.Now,
		Location: time.Local,
	}
	if to != nil {
		return &mailLog{Logger: slog.New(maillog.New(o)), stop: func() {}}, nil
	}
	path := cfg.Get("maillog_file")
	if path == "" {
		h, err := maillog.DialSyslog(maillog.SyslogOptions{Options: o, Facility: cfg.Get("syslog_facility")})
		if err != nil {
			return nil, fmt.Errorf("syslog: %w; set maillog_file to a file or to /dev/stdout", err)
		}
		return &mailLog{Logger: slog.New(h), stop: func() { h.Close() }}, nil
	}
	f, err := maillog.OpenFileMode(path, fileMode(cfg))
	if err != nil {
		return nil, fmt.Errorf("maillog_file (%s): %w", cfg.Where("maillog_file"), err)
	}
	if err := chownTo(path, as); err != nil && path != "/dev/stdout" {
		return nil, fmt.Errorf("maillog_file (%s): %w", cfg.Where("maillog_file"), err)
	}
	f.Gather()
	o.Out = f
	return &mailLog{Logger: slog.New(maillog.New(o)), file: f, stop: func() { f.Close() }}, nil
}

func fileMode(cfg *postconf.Config) fs.FileMode {
	mode, err := strconv.ParseUint(cfg.Get("maillog_file_permissions"), 8, 32)
	if err != nil {
		return 0o600
	}
	return fs.FileMode(mode)
}

// reopen follows a log file that was moved away.
func (l *mailLog) reopen() {
	if l.file == nil {
		return
	}
	if err := l.file.Reopen(); err != nil {
		l.Error("reopen log file: " + err.Error())
	}
}
