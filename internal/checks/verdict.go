package checks

import (
	"errors"
	"strings"
)

// CheckAction says what is wrong with a value of the table of a parameter: nil, or what a
// Filter would warn of and do nothing. parameter is the full name (header_checks,
// smtp_body_checks). open is set when more follows that depends on what is looked up:
// then only the command is judged, and that if it is all there. filter judges the
// destination of FILTER; nil: any will do.
func CheckAction(parameter, value string, open bool, filter func(dest string) error) error {
	_, sending := strings.CutPrefix(parameter, "smtp_")
	if !sending {
		_, sending = strings.CutPrefix(parameter, "lmtp_")
	}
	context := contextHeader
	if strings.HasSuffix(parameter, "body_checks") {
		context = contextBody
	}
	a := parseAction(value)
	if open {
		if !strings.ContainsAny(value, " \t") {
			return nil // $1 may be the rest of the command
		}
		// With a text that every command takes, only the command can be wrong.
		a.text = "a: b@c"
	}
	if why := a.wrong(context, parameter, value, sending); why != "" {
		return errors.New(why)
	}
	if a.verb == "FILTER" && !open && filter != nil {
		return filter(a.text)
	}
	return nil
}
