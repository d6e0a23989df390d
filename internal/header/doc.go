// Package header looks at the header of a message while it streams from the wire, or
// from the sendmail command, into the queue.
//
// A Writer stands before the draft. It passes the bytes on as they came, and:
//
//   - takes out the fields of message_drop_headers;
//   - puts an empty line where a message has none between header and body, and renames
//     mbox lines at the top ("From sender date"), so that our Received field can stand
//     above it: what cleanup(8) and smtpd(8) do;
//   - adds Message-Id, Date and From to the mail of local clients that have none
//     (postconf(5): local_header_rewrite_clients);
//   - tells what it saw: Message-ID, the number of Received fields, 8-bit bytes.
//
// It needs a fixed amount of memory, however long a line or a header is. It does not
// read MIME, rewrite addresses, or look into the body.
//
//	w := header.NewWriter(draft, header.Options{DropFields: []string{"bcc"}})
//	io.Copy(w, body)
//	w.Close()
//	w.MessageIDs()
package header
