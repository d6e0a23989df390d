package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"aliasmx/internal/mail"
)

// sendmailOptions is a command line of sendmail(1).
type sendmailOptions struct {
	mode      sendmailMode
	configDir string // -C
	sender    *string
	fullName  *string
	dotsPass  bool // -i
	fromHead  bool // -t
	eightBit  bool // -B
	sevenBit  bool // -B
	gateway   bool
	tell      bool // -v: the sender is to have a report of the delivery
	notify    mail.Notify
	ret       string
	envID     string
	flushID   string // -qI
	flushSite string // -qR
	rcpts     []string
	warnings  []string // about values that were ignored
}

type sendmailMode int

const (
	modeDeliver sendmailMode = iota
	modeQueue                // -bp, mailq
	modeFlush                // -q
	modeAliases              // -bi, -I, newaliases
	modeSMTP                 // -bs
	modeVerify               // -bv
	modeIgnore               // what has no meaning here and succeeds
)

// sendmailLetters are all options of sendmail(1), also those that mean nothing to us.
const sendmailLetters = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:q?r:tvx"

const sendmailUsage = "sendmail [options]"

// unavailable is an error for what Postfix can do and we cannot.
type unavailable struct{ text string }

func (e *unavailable) Error() string { return e.text }

func parseSendmail(args []string) (*sendmailOptions, error) {
	o := &sendmailOptions{}
	rest, err := getopt(args, sendmailLetters, o.option)
	if err != nil {
		return nil, err
	}
	o.rcpts = rest
	return o, o.check()
}

func (o *sendmailOptions) option(letter byte, arg string) error {
	switch letter {
	case 'B':
		switch strings.ToUpper(arg) {
		case "8BITMIME":
			o.eightBit, o.sevenBit = true, false
		case "7BIT":
			o.eightBit, o.sevenBit = false, true
		default:
			return errors.New("-B option needs 8BITMIME or 7BIT")
		}
	case 'C':
		o.configDir = arg
		if st, err := os.Stat(arg); err == nil && !st.IsDir() {
			o.configDir = filepath.Dir(arg) // main.cf itself
		}
	case 'F':
		o.fullName = &arg
	case 'G':
		o.gateway = true
	case 'I':
		o.mode = modeAliases
	case 'N':
		o.setNotify(arg)
	case 'R':
		switch ret := strings.ToUpper(arg); ret {
		case "FULL", "HDRS":
			o.ret = ret
		default:
			o.warn("bad -R option value -- ignored")
		}
	case 'V':
		o.setEnvID(arg)
	case 'X':
		if strings.HasPrefix(arg, "V") {
			return &unavailable{"-XV: variable envelope return paths are not supported"}
		}
	case 'b':
		return o.setMode(arg)
	case 'n':
		return &unavailable{"-n option not supported"} // it would leave aliases alone
	case 'f', 'r':
		o.sender = &arg
	case 'i':
		o.dotsPass = true
	case 'o':
		if arg == "i" {
			o.dotsPass = true
		}
	case 'q':
		return o.setFlush(arg)
	case 't':
		o.fromHead = true
	case 'v':
		o.tell = true
	}
	return nil
}

func (o *sendmailOptions) warn(text string) { o.warnings = append(o.warnings, text) }

func (o *sendmailOptions) setNotify(arg string) {
	var n mail.Notify
	for _, word := range strings.FieldsFunc(arg, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		switch strings.ToLower(word) {
		case "never":
			n |= mail.NotifyNever
		case "success":
			n |= mail.NotifySuccess
		case "failure":
			n |= mail.NotifyFailure
		case "delay":
			n |= mail.NotifyDelay
		default:
			o.warn(fmt.Sprintf("unknown DSN NOTIFY command value %q in %q", word, arg))
			o.warn("bad -N option value -- ignored")
			return
		}
	}
	if n == 0 || n&mail.NotifyNever != 0 && n != mail.NotifyNever {
		o.warn("bad -N option value -- ignored")
		return
	}
	o.notify = n
}

func (o *sendmailOptions) setEnvID(arg string) {
	switch {
	case len(arg) > 100: // RFC 3461 section 4.4
		o.warn("too long -V option value -- ignored")
	case arg == "" || strings.ContainsFunc(arg, func(c rune) bool { return c < ' ' || c > '~' }):
		o.warn("bad syntax in -V option value -- ignored")
	default:
		o.envID = arg
	}
}

func (o *sendmailOptions) setMode(arg string) error {
	switch arg {
	case "m":
		o.mode = modeDeliver
	case "s":
		o.mode = modeSMTP
	case "p":
		o.mode = modeQueue
	case "i":
		o.mode = modeAliases
	case "h", "H":
		o.mode = modeIgnore // there is no persistent host status
	case "d", "D", "l":
		return &unavailable{"-b" + arg + ": the daemon is started with 'aliasmx start'"}
	case "v":
		o.mode = modeVerify
	default:
		return errors.New("unsupported: -b" + arg)
	}
	return nil
}

func (o *sendmailOptions) setFlush(arg string) error {
	switch {
	case arg == "":
		o.mode = modeFlush
	case arg[0] >= '0' && arg[0] <= '9':
		o.mode = modeIgnore // an interval: queue_run_delay
	case arg[0] == 'I' && len(arg) > 1:
		o.mode, o.flushID = modeFlush, arg[1:]
	case arg[0] == 'R' && len(arg) > 1:
		o.mode, o.flushSite = modeFlush, arg[1:]
	case arg[0] == 'I':
		return errors.New("specify: -qIqueueid")
	case arg[0] == 'R':
		return errors.New("specify: -qRsitename")
	case arg[0] == 'S':
		return &unavailable{"-qS is not implemented"}
	default:
		return errors.New("-q" + arg[:1] + " is not implemented")
	}
	return nil
}

func (o *sendmailOptions) check() error {
	if o.tell && o.notify == 0 {
		// Postfix mails a report of the first attempt; here it is a delivery status
		// notification (RFC 3461), which says when the mail is through.
		o.notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
	}
	name, ok := map[sendmailMode]string{
		modeQueue:   "display queue mode",
		modeFlush:   "flush queue mode",
		modeAliases: "alias initialization mode",
		modeSMTP:    "stand-alone mode",
	}[o.mode]
	switch {
	case o.fromHead && o.mode != modeDeliver:
		return errors.New("-t can be used only in delivery mode")
	case ok && len(o.rcpts) > 0:
		return errors.New(name + " requires no recipient")
	}
	return nil
}

// report prints the warnings.
func (o *sendmailOptions) report(w io.Writer) {
	for _, text := range o.warnings {
		fmt.Fprintf(w, "sendmail: warning: %s\n", text)
	}
}
