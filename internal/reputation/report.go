package reputation

import (
	"bufio"
	"encoding/base64"
	"io"
	"mime/multipart"
	"strings"

	"aliasmx/internal/mail"
)

// Reports on mail that we have sent on: complaints (RFC 5965) and failures (RFC 3464), both
// multipart/report (RFC 6522) with a part for programs and, mostly, the message or its
// header.

// Report is what a message says that is one.
type Report struct {
	// Kind is the Feedback-Type of a complaint in lower case; "" for a failure that is
	// notified.
	Kind   string
	policy bool // the failure is one of 5.7.x

	about []mail.Address // whom the report names as the recipient
	trace []hop          // our Received fields of the message
	named []mail.Address // whom its X-Original-To and Delivered-To name
	from  string         // the domain that reports
}

// hop is a Received field of ours.
type hop struct {
	id   mail.QueueID
	rcpt mail.Address
}

// Bounds of what is read.
const (
	maxReport  = 1 << 20
	maxParts   = 10
	maxMachine = 64 << 10 // of the part for programs
	maxAbout   = 50       // recipients that a report names
	maxHops    = 50
)

// noComplaints are the feedback types by which nobody complains (RFC 5965 section 7.3, RFC
// 6591 section 3.1): that something is no spam after all, and that authentication failed.
var noComplaints = map[string]bool{"not-spam": true, "auth-failure": true, "dmarc": true}

// Parse reads a message that may be a report; nil: it is none that counts. A report is
// understood as far as it goes. hostname is by which our Received fields are known.
func Parse(r io.Reader, hostname string) *Report {
	br := bufio.NewReaderSize(io.LimitReader(r, maxReport), 4096)
	top, _ := fieldsOf(headerOf(br))
	kind, params := contentType(top)
	if !strings.EqualFold(kind, "multipart/report") || params["boundary"] == "" {
		return nil
	}
	rep := &Report{from: address(first(top, "from")).Domain}
	var known bool
	parts := multipart.NewReader(br, params["boundary"])
	for range maxParts {
		part, err := parts.NextRawPart()
		if err != nil {
			break
		}
		kind, body := rep.part(part)
		switch {
		case kind == "message/feedback-report" && strings.EqualFold(params["report-type"], "feedback-report"):
			known = rep.feedback(readSome(body, maxMachine)) || known
		case (kind == "message/delivery-status" || kind == "message/global-delivery-status") && strings.EqualFold(params["report-type"], "delivery-status"):
			known = rep.failures(readSome(body, maxMachine)) || known
		case kind == "message/rfc822" || kind == "text/rfc822-headers" || kind == "message/global" || kind == "message/global-headers":
			fields, _ := fieldsOf(headerOf(bufio.NewReader(body)))
			rep.original(fields, hostname)
		}
	}
	if !known || noComplaints[rep.Kind] {
		return nil
	}
	return rep
}

// part is the type of a part, and its content without its encoding.
func (r *Report) part(p *multipart.Part) (kind string, body io.Reader) {
	var list []field
	for name, values := range p.Header {
		for _, v := range values {
			list = append(list, field{strings.ToLower(name), v})
		}
	}
	kind, _ = contentType(list)
	body = p
	if strings.EqualFold(first(list, "content-transfer-encoding"), "base64") {
		body = base64.NewDecoder(base64.StdEncoding, p)
	}
	return strings.ToLower(kind), body
}

// headerOf reads a header up to its empty line. What is beyond the bound is read and dropped,
// as long as it goes on.
func headerOf(r *bufio.Reader) []byte {
	var text []byte
	whole := true // the line that comes is the beginning of one
	for {
		line, err := r.ReadSlice('\n')
		if whole && (string(line) == "\r\n" || string(line) == "\n") {
			return text
		}
		whole = len(line) > 0 && line[len(line)-1] == '\n'
		if len(text)+len(line) <= maxHeader {
			text = append(text, line...)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return text
		}
	}
}

// feedback reads message/feedback-report (RFC 5965 section 3).
func (r *Report) feedback(text []byte) (known bool) {
	list, _ := fieldsOf(text)
	for _, f := range list {
		switch f.name {
		case "feedback-type":
			r.Kind, known = strings.ToLower(f.value), f.value != ""
		case "original-rcpt-to":
			r.name(&r.about, f.value)
		}
	}
	return known
}

// failures reads message/delivery-status (RFC 3464 section 2): the recipients that it says
// have failed.
func (r *Report) failures(text []byte) (known bool) {
	for groups := 0; len(text) > 0 && groups < maxAbout; groups++ {
		var list []field
		list, text = fieldsOf(text)
		if !strings.EqualFold(first(list, "action"), "failed") {
			continue
		}
		known = true
		r.policy = r.policy || strings.HasPrefix(first(list, "status"), "5.7.")
		r.name(&r.about, first(list, "original-recipient"))
		r.name(&r.about, first(list, "final-recipient"))
	}
	return known
}

// original reads the header of the message that the report is about.
func (r *Report) original(list []field, hostname string) {
	for _, f := range list {
		switch f.name {
		case "received":
			if h, ours := received(f.value, hostname); ours && len(r.trace) < maxHops {
				r.trace = append(r.trace, h)
			}
		case "x-original-to", "delivered-to", "x-forwarded-for":
			r.name(&r.named, f.value)
		}
	}
}

func (r *Report) name(list *[]mail.Address, value string) {
	if a := address(value); !a.IsNull() && len(*list) < maxAbout {
		*list = append(*list, a)
	}
}

// received reads a Received field in the form that smtpd writes: "from HELO (NAME [ADDRESS])
// by OURS (MAILNAME) with ESMTP id ID for <RECIPIENT>; DATE".
func received(value, hostname string) (h hop, ours bool) {
	words := strings.Fields(value)
	for i := 0; i+1 < len(words); i++ {
		switch next := words[i+1]; words[i] {
		case "by":
			ours = strings.EqualFold(next, hostname)
		case "id":
			if id, err := mail.ParseQueueID(strings.TrimSuffix(next, ";")); ours && err == nil {
				h.id = id
			}
		case "for":
			if ours {
				h.rcpt = address(strings.TrimSuffix(next, ";"))
			}
		}
	}
	return h, ours
}
