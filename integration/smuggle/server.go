package smuggle

import "strings"

// Server is how a server finds the end of a message.
type Server struct {
	Name string
	// Ends are what it takes for the end, the line end before the dot included.
	Ends []string
	// Drops are bytes that it does not see.
	Drops string
}

// Strict follows RFC 5321.
func Strict() Server { return Server{Name: "strict", Ends: []string{"\r\n.\r\n"}} }

// Lax are servers that take more than they should for the end of a message.
func Lax() []Server {
	const proper = "\r\n.\r\n"
	list := []Server{
		{Name: "drops NUL", Ends: []string{proper}, Drops: "\x00"},
		{Name: "drops CR", Ends: []string{"\n.\n"}, Drops: "\r"},
		{Name: "drops CR and NUL", Ends: []string{"\n.\n"}, Drops: "\r\x00"},
		{Name: "drops LF", Ends: []string{"\r.\r"}, Drops: "\n"},
	}
	all := Server{Name: "takes all of these", Ends: []string{proper}}
	for _, s := range Own() {
		list = append(list, Server{Name: "takes " + s.Name, Ends: []string{proper, s.Bytes}})
		all.Ends = append(all.Ends, s.Bytes)
	}
	return append(list, all)
}

// Split is what a server makes of the bytes that follow its 354: the message, with the
// stuffed dots, and what it takes for commands behind it. ended is false when it waits
// for more.
func (s Server) Split(sent string) (message, commands string, ended bool) {
	for i := range len(s.Drops) {
		sent = strings.ReplaceAll(sent, s.Drops[i:i+1], "")
	}
	begun := "\r\n" // of the line with DATA: the content may be a dot alone
	switch {
	case strings.Contains(s.Drops, "\r"):
		begun = "\n"
	case strings.Contains(s.Drops, "\n"):
		begun = "\r"
	}
	sent = begun + sent
	first, length := -1, 0
	for _, end := range s.Ends {
		if i := strings.Index(sent, end); i >= 0 && (first < 0 || i < first || i == first && len(end) > length) {
			first, length = i, len(end)
		}
	}
	if first < 0 {
		return "", "", false
	}
	return strings.TrimPrefix(sent[:first], begun), sent[first+length:], true
}

// Kept is what a server that takes only CRLF.CRLF for the end keeps of a message, with
// CRLF line ends: a bare LF ends a line, a line that is a dot and not the end vanishes, a
// bare CR stays, or is a space. Commands is what follows the end.
func Kept(sent string, crIsSpace bool) (message, commands string, ended bool) {
	return kept(sent, func(text string) string { return keptLine(text, crIsSpace) })
}

// KeptAllowed is the same where smtpd_forbid_bare_newline = no, of what no bare LF ends: CRs
// before a line end are part of it if bare CRs are to be spaces.
func KeptAllowed(sent string, crIsSpace bool) (message, commands string, ended bool) {
	return kept(sent, func(text string) string {
		if crIsSpace {
			text = strings.TrimRight(text, "\r")
		}
		return keptLine(text, crIsSpace)
	})
}

func kept(sent string, keep func(text string) string) (message, commands string, ended bool) {
	proper := true // the line before ended in CRLF
	for {
		line, rest, found := strings.Cut(sent, "\n")
		if !found {
			return "", "", false
		}
		sent = rest
		text, crlf := strings.CutSuffix(line, "\r")
		if text == "." && proper && crlf {
			return message, sent, true
		}
		if text != "." {
			message += keep(strings.TrimPrefix(text, ".")) + "\r\n"
		}
		proper = crlf
	}
}

// KeptChunks is what a server keeps of a message that came by BDAT, where nothing ends it
// but the count.
func KeptChunks(sent string, crIsSpace bool) (message string) {
	for line := range strings.SplitAfterSeq(sent, "\n") {
		switch text, ended := strings.CutSuffix(line, "\n"); {
		case ended:
			message += keptLine(strings.TrimSuffix(text, "\r"), crIsSpace) + "\r\n"
		case text != "":
			message += keptLine(text, crIsSpace) + "\r\n"
		}
	}
	return message
}

// keptLine is a line without its end.
func keptLine(text string, crIsSpace bool) string {
	if !crIsSpace {
		return text
	}
	return strings.ReplaceAll(text, "\r", " ")
}
