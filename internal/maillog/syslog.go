package maillog

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SyslogOptions are Options for a log that goes to the syslog of the machine.
type SyslogOptions struct {
	Options
	Facility string // syslog_facility; "mail" when empty
	Socket   string // "/dev/log" when empty
}

const (
	// A syslog that reads too slowly, or not at all, may hold mail up this long, once:
	// after it lines are lost until it reads again.
	syslogPatience = time.Second
	syslogHurry    = 5 * time.Millisecond
	// syslogRetry is how long a socket that is not there is left alone.
	syslogRetry = time.Second
	// syslogLine bounds a line, as Postfix does: many a syslog cuts or drops more.
	syslogLine = maxValue
)

// facilities are the names of syslog_facility and their codes, RFC 3164 section 4.1.1.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// DialSyslog makes a log that goes to syslog, in the form of RFC 3164 that syslog(3)
// gives to the local one. The severity is that of the line. A syslog that is not
// there, or goes away, is tried again: lines are lost meanwhile, and no error.
func DialSyslog(o SyslogOptions) (*Handler, error) {
	if o.Facility == "" {
		o.Facility = "mail"
	}
	if o.Socket == "" {
		o.Socket = "/dev/log"
	}
	code := slices.Index(facilities, o.Facility)
	if code < 0 {
		known := slices.DeleteFunc(slices.Clone(facilities), func(f string) bool { return f == "" })
		return nil, fmt.Errorf("unknown syslog facility %q; known: %s", o.Facility, strings.Join(known, ", "))
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return newHandler(o.Options, &syslogSink{socket: o.Socket, facility: code, now: now, patience: syslogPatience}), nil
}

// syslogSink writes datagrams to the socket of syslog, or lines where it is a stream.
type syslogSink struct {
	socket   string
	facility int
	now      func() time.Time

	conn     net.Conn // nil when not connected
	stream   bool
	tried    time.Time // when connecting failed last
	patience time.Duration
}

func (s *syslogSink) begin(b []byte, _ *output, l slog.Level, when time.Time, ident string) []byte {
	b = strconv.AppendInt(append(b, '<'), int64(s.facility<<3|severity(l)), 10)
	b = when.AppendFormat(append(b, '>'), "Jan _2 15:04:05 ")
	return append(b, ident...)
}

func severity(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

func (s *syslogSink) send(line []byte) error {
	line = line[:len(line)-1] // the newline: a datagram needs no end
	if len(line) > syslogLine {
		line = append(line[:0], cut(string(line), syslogLine)...)
	}
	var err error
	// A second time, when syslog was restarted since the last line.
	for range 2 {
		if err = s.connect(); err != nil {
			return err
		}
		if err = s.write(line); err == nil {
			s.patience = syslogPatience
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.patience = syslogHurry
			if !s.stream {
				return err // full: the connection is as good as any
			}
		}
		s.conn.Close()
		s.conn = nil
	}
	return err
}

func (s *syslogSink) write(line []byte) error {
	// Not s.now: the kernel keeps this deadline by the real clock.
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	if s.stream {
		line = append(line, '\n')
	}
	_, err := s.conn.Write(line)
	return err
}

// connect connects where there is no connection, not more often than every syslogRetry.
func (s *syslogSink) connect() error {
	if s.conn != nil {
		return nil
	}
	if since := s.now().Sub(s.tried); !s.tried.IsZero() && 0 <= since && since < syslogRetry {
		return fmt.Errorf("connect to %s: failed less than a second ago", s.socket)
	}
	var err error
	for _, network := range []string{"unixgram", "unix"} {
		if s.conn, err = net.DialTimeout(network, s.socket, syslogPatience); err == nil {
			s.stream, s.tried = network == "unix", time.Time{}
			return nil
		}
	}
	s.conn, s.tried = nil, s.now()
	return fmt.Errorf("connect to syslog: %w", err)
}

// flush does nothing: each line is a datagram of its own.
func (s *syslogSink) flush() {}

func (s *syslogSink) close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
