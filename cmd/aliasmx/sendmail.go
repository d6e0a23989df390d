package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/pickup"
	"aliasmx/internal/postconf"
)

// The sendmail command (sendmail(1)): what programs on this machine send mail with. A
// message goes through a socket to the daemon, and when the command ends with status 0
// it is in the queue. While no daemon runs nothing is taken, and the status says so: 75.

// login is the user who runs the command.
type login struct {
	uid  int
	name string // "" when the uid has none
	full string
}

func currentLogin(env environ) login {
	l := login{uid: os.Getuid()}
	if u, err := user.LookupId(strconv.Itoa(l.uid)); err == nil {
		l.name, l.full = u.Username, expandGecos(u.Name, u.Username)
	} else if l.name = env.getenv("LOGNAME"); l.name == "" && l.uid == 0 {
		l.name = "root" // an image with nothing in it has no passwd file
	}
	return l
}

// expandGecos makes a name of passwd(5)'s comment field: & stands for the login name.
func expandGecos(gecos, name string) string {
	if name == "" {
		return gecos
	}
	return strings.ReplaceAll(gecos, "&", strings.ToUpper(name[:1])+name[1:])
}

func sendmailCommand(args []string, env environ) int {
	return sendmail(args, env, currentLogin(env))
}

func sendmail(args []string, env environ, who login) int {
	o, err := parseSendmail(args)
	if err != nil {
		usageError(env.stderr, "sendmail", err, sendmailUsage)
		return exitTempFail // as of everything that ends Postfix's sendmail: the caller is to keep the mail
	}
	o.report(env.stderr)
	switch o.mode {
	case modeIgnore:
		return exitOK
	case modeQueue:
		return mailqCommand(o.selectDir(nil), env)
	case modeFlush:
		return postqueueCommand(o.selectDir(o.flushArgs()), env)
	case modeAliases:
		return newaliasesCommand(o.selectDir(nil), env)
	}
	// A program whose mail cannot go because of our configuration is to try again.
	cfg, err := loadConfig(configDir(o.configDir, env), env)
	if err != nil {
		return fail(env, "sendmail", exitTempFail, err)
	}
	if o.mode == modeSMTP {
		return sendmailSMTP(cfg, env, who)
	}
	if o.mode == modeVerify {
		return o.explain(cfg, env)
	}
	return o.deliver(cfg, env, who)
}

func (o *sendmailOptions) selectDir(args []string) []string {
	if o.configDir == "" {
		return args
	}
	return append([]string{"-c", o.configDir}, args...)
}

func (o *sendmailOptions) flushArgs() []string {
	switch {
	case o.flushID != "":
		return []string{"-i", o.flushID}
	case o.flushSite != "":
		return []string{"-s", o.flushSite}
	}
	return []string{"-f"}
}

var (
	errNoRecipients = errors.New("Recipient addresses must be specified on the command line or via the -t option")
	errNoneInHeader = errors.New("No recipient addresses found in message header")
)

// deliver hands the message to the daemon.
func (o *sendmailOptions) deliver(cfg *postconf.Config, env environ, who login) int {
	req, shown, err := o.request(env, who)
	if err != nil {
		return fail(env, "sendmail", exitTempFail, err)
	}
	// As Postfix names who could not send: "sender(uid): ...".
	fatal := func(err error) int {
		return fail(env, "sendmail", exitTempFail, fmt.Errorf("%s(%d): %w", shown, who.uid, err))
	}
	if len(req.Rcpts) == 0 && !o.fromHead {
		return fatal(errNoRecipients)
	}
	var header *headerRecipients
	if o.fromHead {
		header = &headerRecipients{}
		req.Found = func() ([]mail.Address, error) {
			found := header.found()
			if len(found) == 0 && len(req.Rcpts) == 0 {
				return nil, errNoneInHeader
			}
			return found, nil
		}
	}
	message := newSubmission(env.stdin, !o.dotsPass, cfg.Int64("message_size_limit"), header)
	reply, err := pickup.Submit(context.Background(), pickupSocket(cfg), req, message)
	switch {
	case errors.Is(err, pickup.ErrDown):
		return fatal(fmt.Errorf("the mail was not queued: %w", err))
	case errors.Is(err, errNoneInHeader):
		return fatal(err)
	case errors.Is(err, errTooBig):
		return fatal(err)
	case errors.Is(err, errReading), errors.Is(err, errFieldTooLong), errors.Is(err, pickup.ErrAddress):
		return fatal(err)
	case err != nil:
		return fatal(err)
	case reply.Status == pickup.ExitNoPerm:
		return fail(env, "sendmail", reply.Status, fmt.Errorf("User %s(%d) is not allowed to submit mail", who.name, who.uid))
	case reply.Status != pickup.ExitOK:
		return fatal(errors.New(reply.Text))
	}
	if o.tell {
		fmt.Fprintf(env.stdout, "Mail Delivery Status Report will be mailed to <%s>.\n", shown)
	}
	return exitOK
}

// request is what the command line says of the message; shown is the sender in words.
func (o *sendmailOptions) request(env environ, who login) (req pickup.Request, shown string, err error) {
	req = pickup.Request{
		FullName: who.full, Notify: o.notify, Ret: o.ret, EnvID: o.envID, EightBit: o.eightBit, SevenBit: o.sevenBit, Gateway: o.gateway,
	}
	if name := env.getenv("NAME"); name != "" {
		req.FullName = name
	}
	if o.fullName != nil {
		req.FullName = *o.fullName
	}
	switch {
	case o.sender != nil:
		list := parseAddressList(*o.sender)
		if len(list) > 1 {
			fmt.Fprintf(env.stderr, "sendmail: warning: -f option specified malformed sender: %s\n", printable(*o.sender))
		}
		if len(list) > 0 {
			req.Sender = list[0]
		}
	case who.name != "":
		req.Sender = mail.Address{Local: who.name}
	default:
		return req, "", fmt.Errorf("no login name found for user ID %d; name the sender with -f", who.uid)
	}
	for _, word := range o.rcpts {
		list := parseAddressList(word)
		if len(list) == 0 {
			list = []mail.Address{{}} // empty_address_recipient
		}
		req.Rcpts = append(req.Rcpts, list...)
	}
	return req, req.Sender.String(), nil
}

// sendmailSMTP connects standard input and output to the SMTP server (sendmail -bs).
func sendmailSMTP(cfg *postconf.Config, env environ, who login) int {
	conn, err := pickup.DialSMTP(context.Background(), pickupSocket(cfg))
	if err != nil {
		refused, ok := errors.AsType[*pickup.RefusedError](err)
		switch {
		case ok && refused.Reply.Status == pickup.ExitNoPerm:
			return fail(env, "sendmail", refused.Reply.Status, fmt.Errorf("User %s(%d) is not allowed to submit mail", who.name, who.uid))
		case ok:
			return fail(env, "sendmail", refused.Reply.Status, err)
		}
		return fail(env, "sendmail", exitTempFail, err)
	}
	defer conn.Close()
	// Nobody waits for this one: it may sit in a read of standard input when the server
	// has hung up, and nothing but the end of the process gets it out of there.
	go func() {
		io.Copy(conn, env.stdin)
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			c.CloseWrite()
		}
	}()
	// The server has the deadlines: it hangs up on who says nothing.
	if _, err := io.Copy(env.stdout, conn); err != nil {
		return fail(env, "sendmail", exitTempFail, err)
	}
	return exitOK
}
