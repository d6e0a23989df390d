package screen

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// What is sent to a client.

// writeTime is how long a client may take to take a reply.
const writeTime = 10 * time.Second

// write sends bytes as they are.
func (s *session) write(text string) error {
	s.nc.SetWriteDeadline(time.Now().Add(writeTime))
	defer s.nc.SetWriteDeadline(time.Time{})
	_, err := io.WriteString(s.nc, text)
	return err
}

// send sends a reply, with the operator's footer behind a refusal.
func (s *session) send(reply string) error {
	return s.write(strings.Join(s.footed(s.soft(reply)), "\r\n") + "\r\n")
}

// soft makes a refusal a temporary one (soft_bounce).
func (s *session) soft(reply string) string {
	if !s.d.o.SoftBounce || reply[0] != '5' {
		return reply
	}
	b := []byte(reply)
	b[0] = '4'
	if len(b) > 4 && b[4] == '5' {
		b[4] = '4'
	}
	return string(b)
}

// footed is a reply with postscreen_reject_footer behind it: in lines of its own, or with
// \c on the same one.
func (s *session) footed(reply string) []string {
	lines := []string{reply}
	if reply[0] != '4' && reply[0] != '5' {
		return lines
	}
	footer := s.footer(reply)
	if footer == "" {
		return lines
	}
	code := reply[:4]
	if words := strings.Fields(reply); len(words) > 1 && strings.Count(words[1], ".") == 2 && words[1][0] >= '4' && words[1][0] <= '5' {
		code += words[1] + " "
	}
	for i, part := range strings.Split(footer, `\n`) {
		text := s.expand(part)
		if same, ok := strings.CutPrefix(text, `\c`); ok && i == 0 {
			lines[0] += same
			continue
		}
		lines = append(lines, code+text)
	}
	for i := range lines[:len(lines)-1] {
		lines[i] = lines[i][:3] + "-" + lines[i][4:]
	}
	return lines
}

// footer finds the text for a refusal.
func (s *session) footer(reply string) string {
	for _, t := range s.d.o.RejectFooterMaps {
		ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
		value, found, err := t.Lookup(ctx, reply)
		cancel()
		if err != nil {
			s.d.log.Warn(t.Name() + " lookup error: " + err.Error())
		}
		if found && err == nil {
			return value
		}
	}
	return s.d.o.RejectFooter
}

// expand fills in the macros of a footer: $name, ${name} and $(name).
func (s *session) expand(text string) string {
	return strings.NewReplacer(macros(map[string]string{
		"server_name":    s.d.o.MyHostname,
		"client_address": s.addr.String(),
		"client_port":    s.at[strings.LastIndexByte(s.at, ':')+1:],
		"localtime":      s.d.now().Format("Jan 02 15:04:05"),
	})...).Replace(text)
}

// macros are the ways to write each name, longer ones first.
func macros(values map[string]string) (pairs []string) {
	for _, form := range []string{"${%s}", "$(%s)", "$%s"} {
		for name, value := range values {
			pairs = append(pairs, fmt.Sprintf(form, name), value)
		}
	}
	return append(pairs, "$$", "$")
}

// elapsed is how long the tests have been going on: two digits, at most two of them
// behind the point (postconf(5): delay_logging_resolution_limit).
func (s *session) elapsed() string {
	d := s.d.now().Sub(s.started)
	digits := 2
	switch {
	case d >= 10*time.Second:
		digits = 0
	case d >= time.Second:
		digits = 1
	}
	text := strconv.FormatFloat(max(d, 0).Seconds(), 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// discard reads what the client has said already, for the sake of its last reply: if a
// connection is closed with input that nobody has read, the client's system may throw away
// what its program has not read yet.
func (s *session) discard() {
	var buf [peekSize]byte
	s.nc.SetReadDeadline(time.Now().Add(writeTime))
	s.nc.Read(buf[:])
	s.nc.SetReadDeadline(time.Time{})
}
