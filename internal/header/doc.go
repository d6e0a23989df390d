// Package header looks at the header of a message while it streams from the wire, or
// from the sendmail command, into the queue.
//
// A Writer stands before the draft. It passes the bytes on as they came, and:
//
//   - takes out the fields of message_drop_headers, and those of a few names for what
//     they say (Options.Drop);
//   - puts an empty line where a message has none between header and body, and renames
//     mbox lines at the top ("From sender date"), so that our Received field can stand
//     above it: what cleanup(8) and smtpd(8) do;
//   - adds Message-Id, Date and From to the mail of local clients that have none
//     (postconf(5): local_header_rewrite_clients);
//   - has the addresses in the header rewritten, if there is somebody who does: that
//     completes bare names in the mail of local clients, and replaces the addresses of
//     generic(5) in mail that is sent. A field is written anew only if an address in it
//     changed, and then as cleanup(8) and smtp(8) write it;
//   - tells what it saw: Message-ID, the number of Received fields, 8-bit bytes.
//
// It needs a fixed amount of memory, however long a line or a header is: a field with
// addresses, or one that may be taken out, is held until it ends, up to header_size_limit. It does not read MIME or look
// into the body, and knows nothing of tables.
//
//	w := header.NewWriter(draft, header.Options{DropFields: []string{"bcc"}})
//	io.Copy(w, body)
//	w.Close()
//	w.MessageIDs()
package header
