package checks

import (
	"log/slog"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// What a table wants done: header_checks(5), from ACTIONS on.

// Where a string was found, as the log names it.
const (
	contextHeader = "header"
	contextBody   = "body"
)

// result is what becomes of a field or line. The zero value passes it.
type result struct {
	drop    bool
	replace string
}

// whileSending are the actions that there are for what is sent.
var whileSending = []string{"OK", "DUNNO", "IGNORE", "STRIP", "WARN", "INFO", "PREPEND", "REPLACE"}

// maxCopies bounds the recipients that the lines of one message can ask for.
const maxCopies = 1000

// action is a value of a table, taken apart.
type action struct {
	verb string // in upper case
	text string // what follows it
}

func parseAction(value string) action {
	word, text := value, ""
	if i := strings.IndexAny(value, " \t"); i >= 0 {
		word, text = value[:i], strings.TrimLeft(value[i:], " \t\r\n\v\f")
	}
	return action{strings.ToUpper(word), text}
}

// wrong says why an action cannot be carried out, in the words of the log; "" when it can.
// parameter is the full name of who has the table.
func (a action) wrong(context, parameter, value string, sending bool) string {
	if sending && !slices.Contains(whileSending, a.verb) {
		return "unsupported command in " + parameter + " map: " + value
	}
	text := a.text
	switch a.verb {
	case "OK", "DUNNO", "IGNORE", "STRIP", "WARN", "INFO", "REJECT", "PASS", "DISCARD", "HOLD":
	case "FILTER":
		switch {
		case text == "":
			return "missing FILTER command argument in " + parameter + " map"
		case !strings.Contains(text, ":"):
			return "bad FILTER command " + text + " in " + parameter + " -- need transport:destination"
		}
	case "REDIRECT":
		if !strings.Contains(text, "@") {
			return `bad REDIRECT target "` + text + `" in ` + parameter + " map -- need user@domain"
		}
	case "BCC":
		if !strings.Contains(text, "@") {
			return `bad BCC address "` + text + `" in ` + parameter + " map -- need user@domain"
		}
	case "PREPEND", "REPLACE":
		switch {
		case text == "":
			return a.verb + " action without text in " + parameter + " map"
		case context == contextHeader && fieldName([]byte(text)) == "":
			return "bad " + a.verb + ` header text "` + text + `" in ` + parameter + ` map -- need "headername: headervalue"`
		}
	default:
		return "unknown command in " + parameter + " map: " + value
	}
	return ""
}

// act carries out an action. content is what the table was asked for, parameter who has
// the table.
func (f *Filter) act(context, parameter, content, value string) (r result) {
	a := parseAction(value)
	text := a.text
	if why := a.wrong(context, f.parameter(parameter), value, f.o.Sending != ""); why != "" {
		f.m.Log.Warn(why)
		return r
	}
	log := func(what string) { f.log(what, context+" "+content, text) }
	switch a.verb {
	case "IGNORE":
		r.drop = true
	case "STRIP":
		log("strip")
		r.drop = true
	case "WARN":
		log("warning")
	case "INFO":
		log("info")
	case "REJECT":
		f.reject(context+" "+content, text)
	case "PASS":
		log("pass")
		f.over = true
	case "DISCARD":
		log("discard")
		f.wanted.Discard, f.over = true, true
	case "HOLD":
		if !f.wanted.Hold && !f.m.Held {
			log("hold")
			f.wanted.Hold = true
		}
	case "FILTER":
		log("filter")
		f.wanted.Filter = text
	case "REDIRECT":
		log("redirect")
		f.wanted.Redirect, f.over = text, true
	case "BCC":
		log("bcc")
		if len(f.wanted.BCC) < maxCopies {
			f.wanted.BCC = append(f.wanted.BCC, text)
		}
	case "PREPEND":
		log("prepend")
		f.putLine(text, context == contextHeader)
	case "REPLACE":
		log("replace")
		r.replace = text
	}
	return r
}

// reject refuses the message. The table may give an enhanced status code; one that speaks
// of success is a mistake.
func (f *Filter) reject(what, text string) {
	s := &mail.Status{Code: 550, Enhanced: mail.Code(5, 7, 1), Text: "message content rejected"}
	if text != "" {
		code, rest := mail.SplitEnhanced(text)
		s.Text = rest
		if code != (mail.Enhanced{}) {
			s.Enhanced = code
		}
		if code[0] == 2 {
			f.m.Log.Warn("bad DSN action in " + text + " -- need 4.x.x or 5.x.x")
			s.Enhanced[0] = 4
		}
	}
	if s.Enhanced[0] == 4 {
		s.Code = 451
	}
	f.log("reject", what, s.Enhanced.String()+" "+s.Text)
	f.refuse(s)
}

const (
	maxLogged        = 200 // bytes of a field or line in the log
	maxLoggedSending = 60
	maxLoggedTooDeep = 100
)

// log writes a line about what was done.
func (f *Filter) log(kind, what, text string) {
	context, content, _ := strings.Cut(what, " ")
	if f.o.Sending != "" {
		line := kind + ": " + context + " " + content[:min(len(content), maxLoggedSending)]
		if text != "" {
			line += ": " + text
		}
		f.m.Log.Info(line)
		return
	}
	attrs := append([]slog.Attr{
		slog.String(mail.KeyKind, kind),
		slog.String(mail.KeyStage, context+" "+content[:min(len(content), maxLogged)]),
	}, f.m.Origin...)
	if text != "" {
		attrs = append(attrs, slog.String(mail.KeyReason, text))
	}
	f.m.Log.LogAttrs(f.m.Context(), slog.LevelInfo, mail.EventContent, attrs...)
}

// logTooDeep is the line about a message that nobody can make sense of.
func (f *Filter) logTooDeep(field string) {
	attrs := []slog.Attr{
		slog.String(mail.KeyKind, "reject"),
		slog.String(mail.KeyStage, "mime-error "+tooDeep+": "+field[:min(len(field), maxLoggedTooDeep)]),
	}
	for _, a := range f.m.Origin {
		if a.Key != mail.KeyProto && a.Key != mail.KeyHelo {
			attrs = append(attrs, a)
		}
	}
	f.m.Log.LogAttrs(f.m.Context(), slog.LevelInfo, mail.EventContent, attrs...)
}
