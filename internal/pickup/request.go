package pickup

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// Exit statuses of the sendmail command, sysexits(3).
const (
	ExitOK          = 0
	ExitDataErr     = 65
	ExitUnavailable = 69
	ExitTempFail    = 75
	ExitNoPerm      = 77
)

// Request is what a submitter says of a message.
type Request struct {
	// Sender is the reverse-path as given, not yet completed; the log shows it.
	Sender   mail.Address
	FullName string // for a From field, should one have to be added
	EnvID    string // sendmail -V, decoded
	Ret      string // sendmail -R: FULL, HDRS or ""
	Notify   mail.Notify
	EightBit bool // sendmail -B 8BITMIME
	SevenBit bool // sendmail -B 7BIT
	// Gateway is sendmail -G: somebody else's message, whose header is left alone.
	Gateway bool

	// Rcpts are the recipients as given.
	Rcpts []mail.Address
	// Found returns further recipients when the whole message has been read: those of its
	// header (sendmail -t). An error ends the submission, and nothing is taken.
	Found func() ([]mail.Address, error)
}

// Reply is the answer to a submission.
type Reply struct {
	Status int    // ExitOK, or why not
	Text   string // for the user
	ID     mail.QueueID
}

// version is the first field of every request. A daemon and a command of different
// versions must not guess.
const version = "1"

// What a connection is for.
const (
	modeSubmit = "submit"
	modeSMTP   = "smtp"
)

// fields is a list of name=value pairs, each ended by NUL. Values are any bytes but NUL.
type fields []byte

func (f *fields) add(name, value string) {
	*f = append(append(append(append(*f, name...), '='), value...), 0)
}

// parseFields calls take with each pair.
func parseFields(b []byte, take func(name, value string) error) error {
	for len(b) > 0 {
		pair, rest, ended := bytes.Cut(b, []byte{0})
		name, value, ok := strings.Cut(string(pair), "=")
		if !ended || !ok {
			return fmt.Errorf("%w: field %.40q", errProtocol, pair)
		}
		if err := take(name, value); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// encode is the content of a request frame.
func (r *Request) encode(mode string) []byte {
	var f fields
	f.add("version", version)
	f.add("mode", mode)
	f.add("sender_local", r.Sender.Local)
	f.add("sender_domain", r.Sender.Domain)
	f.add("full_name", r.FullName)
	f.add("envid", r.EnvID)
	f.add("ret", r.Ret)
	f.add("notify", strconv.Itoa(int(r.Notify)))
	f.add("eight_bit", strconv.FormatBool(r.EightBit))
	f.add("seven_bit", strconv.FormatBool(r.SevenBit))
	f.add("gateway", strconv.FormatBool(r.Gateway))
	return f
}

// parseRequest reads what anybody may have written. A field of a later version that
// we do not know cannot be ignored: it may ask for something.
func parseRequest(b []byte) (r Request, mode string, err error) {
	known := false
	err = parseFields(b, func(name, value string) error {
		if !known && (name != "version" || value != version) {
			return fmt.Errorf("%w: the command and the daemon are of different versions", errProtocol)
		}
		known = true
		var err error
		switch name {
		case "version":
		case "mode":
			mode = value
		case "sender_local":
			r.Sender.Local = value
		case "sender_domain":
			r.Sender.Domain = value
		case "full_name":
			r.FullName = value
		case "envid":
			r.EnvID = value
		case "ret":
			r.Ret = value
		case "notify":
			r.Notify, err = parseNotify(value)
		case "eight_bit":
			r.EightBit, err = strconv.ParseBool(value)
		case "seven_bit":
			r.SevenBit, err = strconv.ParseBool(value)
		case "gateway":
			r.Gateway, err = strconv.ParseBool(value)
		default:
			err = errProtocol
		}
		if err != nil {
			return fmt.Errorf("%w: field %.40q", errProtocol, name)
		}
		return nil
	})
	if err == nil {
		err = r.check(mode)
	}
	return r, mode, err
}

// parseNotify takes what RFC 3461 section 4.1 allows: never alone, or any of the others.
func parseNotify(s string) (mail.Notify, error) {
	const all = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
	n, err := strconv.ParseUint(s, 10, 8)
	notify := mail.Notify(n)
	if err != nil || notify != mail.NotifyNever && notify&^all != 0 {
		return 0, errProtocol
	}
	return notify, nil
}

func (r *Request) check(mode string) error {
	switch {
	case mode != modeSubmit && mode != modeSMTP:
		return fmt.Errorf("%w: mode %.40q", errProtocol, mode)
	case r.Ret != "" && r.Ret != "FULL" && r.Ret != "HDRS":
		return fmt.Errorf("%w: ret %.40q", errProtocol, r.Ret)
	case len(r.EnvID) > maxEnvID || !printable(r.EnvID):
		return fmt.Errorf("%w: envelope ID %.40q", errProtocol, r.EnvID)
	}
	return checkAddress(r.Sender)
}

// maxEnvID is what RFC 3461 section 4.4 allows, decoded.
const maxEnvID = 100

// maxAddress is far above what RFC 5321 section 4.5.3.1 allows and what any command
// line of SMTP could carry.
const maxAddress = 1000

// ErrAddress is an address that cannot be sent anywhere.
var ErrAddress = errors.New("unusable address")

// checkAddress refuses what must not get near an SMTP command or a log line: a control
// character in an address ends a line there.
func checkAddress(a mail.Address) error {
	if len(a.Local)+len(a.Domain) > maxAddress {
		return fmt.Errorf("%w: %.60s...: too long", ErrAddress, a.String())
	}
	for _, part := range []string{a.Local, a.Domain} {
		if strings.ContainsFunc(part, isControl) {
			return fmt.Errorf("%w: %.80q: control character", ErrAddress, a.Internal())
		}
	}
	return nil
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// encodeRcpts splits recipients into the contents of frames.
func encodeRcpts(rcpts []mail.Address, send func([]byte) error) error {
	var b []byte
	for _, a := range rcpts {
		if err := checkAddress(a); err != nil {
			return err
		}
		if len(b) > maxFrame-maxAddress-2 {
			if err := send(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = append(append(append(append(b, a.Local...), 0), a.Domain...), 0)
	}
	if len(b) == 0 {
		return nil
	}
	return send(b)
}

// parseRcpts reads the recipients of one frame.
func parseRcpts(b []byte) ([]mail.Address, error) {
	var rcpts []mail.Address
	for len(b) > 0 {
		local, rest, ok1 := bytes.Cut(b, []byte{0})
		domain, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%w: recipient %.40q", errProtocol, b)
		}
		a := mail.Address{Local: string(local), Domain: string(domain)}
		if err := checkAddress(a); err != nil {
			return nil, err
		}
		rcpts = append(rcpts, a)
		b = rest
	}
	return rcpts, nil
}

// encode is the content of an answer frame.
func (r Reply) encode() []byte {
	var f fields
	f.add("status", strconv.Itoa(r.Status))
	f.add("text", strings.ReplaceAll(r.Text, "\x00", " "))
	if r.ID != 0 {
		f.add("id", r.ID.String())
	}
	return f
}

func parseReply(b []byte) (r Reply, err error) {
	r.Status = -1
	err = parseFields(b, func(name, value string) (err error) {
		switch name {
		case "status":
			r.Status, err = strconv.Atoi(value)
		case "text":
			r.Text = value
		case "id":
			r.ID, err = mail.ParseQueueID(value)
		}
		return err
	})
	if err != nil || r.Status < 0 || r.Status > 255 {
		return Reply{}, fmt.Errorf("%w: answer %.80q", errProtocol, b)
	}
	return r, nil
}
