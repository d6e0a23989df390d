package integration

import (
	"flag"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// The addresses in the header, byte for byte as Postfix leaves them: in the mail of local
// clients, and where generic(5) replaces them. internal/header/testdata/fields.txt holds
// fields and what Debian's Postfix made of them; "go test ./integration -run
// TestHeaderOfPostfix -update-fields" records it anew.

var updateFields = flag.Bool("update-fields", false, "record internal/header/testdata/fields.txt from Postfix")

const fieldsFile = "../internal/header/testdata/fields.txt"

// genericTable is smtp_generic_maps of the recording.
const genericTable = "inline:{ bob=robert@example.org, ann@example.net=anna@example.org, @example.net=@example.org }"

// headerField is one line of the file: a name, a field, what became of it for a local
// client, and what generic(5) made of it ("" when it is not recorded yet), each quoted as
// in Go.
type headerField struct{ name, in, local, generic string }

func loadFields(t *testing.T) []headerField {
	t.Helper()
	b, err := os.ReadFile(fieldsFile)
	if err != nil {
		t.Fatal(err)
	}
	var fields []headerField
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		var parts [4]string
		for i, quoted := range strings.Split(line, "\t") {
			if parts[i], err = strconv.Unquote(quoted); err != nil {
				t.Fatalf("%s: %q: %v", fieldsFile, quoted, err)
			}
		}
		fields = append(fields, headerField{parts[0], parts[1], parts[2], parts[3]})
	}
	return fields
}

// fieldsMessage has every field, each behind a mark.
func fieldsMessage(fields []headerField) string {
	var b strings.Builder
	for i, f := range fields {
		fmt.Fprintf(&b, "X-Mark: %d\r\n%s", i, strings.ReplaceAll(f.in, "\n", "\r\n"))
	}
	return b.String() + "X-Mark: end\r\n\r\nbody\r\n"
}

// fieldsOf takes them out of a message that has arrived.
func fieldsOf(t *testing.T, message string, n int) []string {
	t.Helper()
	list := make([]string, n)
	rest := message
	for i := range list {
		_, after, ok := strings.Cut(rest, fmt.Sprintf("X-Mark: %d\r\n", i))
		field, _, more := strings.Cut(after, "X-Mark: ")
		if !ok || !more {
			t.Fatalf("mark %d is missing in\n%s", i, message)
		}
		list[i], rest = strings.ReplaceAll(field, "\r\n", "\n"), after
	}
	return list
}

// submitMessage sends a message to a server on loopback and returns what its next hop
// gets.
func submitMessage(t *testing.T, server, to, message string, sink *peers.Sink, log func() string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", server, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * limit))
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatalf("%v\n%s", err, log())
	}
	if err := errorsOf(
		func() error { return c.Hello("client.example") },
		func() error { return c.Mail("sender@example.net") },
		func() error { return c.Rcpt(to) },
	); err != nil {
		t.Fatalf("%v\n%s", err, log())
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	n := len(sink.Messages())
	fmt.Fprint(w, message)
	if err := w.Close(); err != nil {
		t.Fatalf("%v\n%s", err, log())
	}
	if !sink.Wait(n+1, limit) {
		t.Fatalf("nothing arrived\n%s", log())
	}
	return sink.Messages()[n].Data
}

func errorsOf(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// Debian's Postfix still does what the file says.
func TestHeaderOfPostfix(t *testing.T) {
	t.Parallel()
	fields := loadFields(t)
	message := fieldsMessage(fields)
	run := func(lines ...string) []string {
		sink := newSink(t)
		p := newPostfix(t, append(lines, "virtual_mailbox_domains =", "myhostname = mx.example.com", "relayhost = [127.0.0.1]:"+portOf(sink.Addr),
			"smtp_line_length_limit = 0", "message_drop_headers =")...)
		return fieldsOf(t, submitMessage(t, p.addr, "someone@dest.example", message, sink, p.log), len(fields))
	}
	local := run()
	generic := run("local_header_rewrite_clients =", "smtp_generic_maps = "+genericTable)
	if *updateFields {
		for i := range fields {
			fields[i].local, fields[i].generic = local[i], generic[i]
		}
		writeFields(t, fields)
		return
	}
	compareFields(t, fields, local, generic)
}

// And so do we.
func TestHeaderAsPostfix(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["myhostname"] = "mx.example.com"
	cf["mynetworks"] = "127.0.0.1/32"
	cf["message_drop_headers"] = ""
	r := newRelay(t, cf, nil)
	fields := loadFields(t)
	message := fieldsMessage(fields)
	send := func() string {
		r.configure(cf)
		r.start()
		defer r.stop()
		return submitMessage(t, r.smtp, "someone@dest.example", message, sink, r.log)
	}
	local := fieldsOf(t, send(), len(fields))

	// Other clients' mail keeps every byte of its header.
	cf["local_header_rewrite_clients"] = ""
	if got := send(); !strings.HasSuffix(got, "\r\n"+message) {
		t.Errorf("the header of a remote client's mail was changed:\n%s", got)
	}
	cf["smtp_generic_maps"] = genericTable
	compareFields(t, fields, local, fieldsOf(t, send(), len(fields)))
}

func compareFields(t *testing.T, fields []headerField, local, generic []string) {
	t.Helper()
	for i, f := range fields {
		if local[i] != f.local {
			t.Errorf("%s, local client: %q\n got %q\nwant %q", f.name, f.in, local[i], f.local)
		}
		if generic[i] != f.generic {
			t.Errorf("%s, generic: %q\n got %q\nwant %q", f.name, f.in, generic[i], f.generic)
		}
	}
}

// writeFields writes the file anew, below the comment that it begins with.
func writeFields(t *testing.T, fields []headerField) {
	t.Helper()
	old, err := os.ReadFile(fieldsFile)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(old)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		b.WriteString(line)
	}
	for _, f := range fields {
		fmt.Fprintf(&b, "%q\t%q\t%q\t%q\n", f.name, f.in, f.local, f.generic)
	}
	if err := os.WriteFile(fieldsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
