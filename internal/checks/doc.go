// Package checks looks at what a message holds while it streams into the queue:
// header_checks(5), as cleanup(8) carries it out.
//
// A Filter stands before header.Writer. It takes the message apart as Postfix's MIME
// parser does: the primary header, the headers of the parts of a multipart message, those
// of messages within a message, and what is none of these, the body. Each header field is
// looked up as one string, its lines with newlines between them; the body is looked up line
// by line, a long line in pieces of line_length_limit bytes. The first table that knows the
// string says what is to be done.
//
// Invariants:
//
//   - What no action changes passes as it came, byte for byte, however the input is split.
//   - At most header_size_limit bytes of a field and line_length_limit bytes of a line are
//     held, and mime_nesting_limit boundaries. What of a field is beyond its limit is not
//     looked at, and shares the fate of its beginning.
//   - A table is asked at most once about a field or a line. A table that cannot answer
//     makes the whole message wait (451 4.3.0).
//   - Nothing is looked at any more after REJECT, DISCARD, REDIRECT and PASS.
//
// What is sent is looked at in the same way, with the actions that can be carried out then
// (Options.Sending).
//
// It decodes nothing: neither base64 nor quoted-printable, and no encoded words. It knows
// nothing of recipients or the queue: what is wanted of them is said in a mail.Handling.
//
//	rules := checks.New(checks.Options{Header: tables})
//	f := rules.Filter(draft, checks.Message{Log: log})
//	io.Copy(f, body)
//	f.Close()
//	f.Refused()
package checks
