package local

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
)

// Addresses that are not local go on in a message of their own: one for each sender and
// Delivered-To address, sent when everything else has been done (forward.c of Postfix).

// forward is a message to be.
type forward struct {
	to, sender mail.Address
	envID, ret string
	requests   []request
	keys       []string // of the requests, for memory
}

// request is one recipient of it.
type request struct {
	mail.RcptRequest
	orig mail.Address
}

// indirect notes an address to be forwarded to.
func (d *delivery) indirect(st state) bool {
	key, before := d.been("indirect %s", st.rcpt.Internal())
	if before {
		return false
	}
	if d.dry {
		return d.sent(st, "forwards to %s", st.rcpt)
	}
	i := slices.IndexFunc(d.forwards, func(f *forward) bool { return f.to == st.to && f.sender == st.sender })
	if i < 0 {
		i = len(d.forwards)
		d.forwards = append(d.forwards, &forward{to: st.to, sender: st.sender, envID: st.envID, ret: st.ret})
	}
	f := d.forwards[i]
	f.keys = append(f.keys, key)
	f.requests = append(f.requests, request{
		RcptRequest: mail.RcptRequest{Addr: st.rcpt, ORcpt: st.orcpt, Notify: st.notify, Sender: st.sender},
		orig:        st.orig,
	})
	return false
}

// finish sends what is to be forwarded, unless the recipient is to be tried again anyway:
// then all of it would be sent again.
func (d *delivery) finish(first state, waits bool) {
	for _, f := range d.forwards {
		if waits {
			return
		}
		id, err := d.send(f)
		switch {
		case err == nil:
			d.sent(first, "forwarded as %s", id)
			for _, key := range f.keys {
				d.done[key] = true
			}
		default:
			status := mail.StatusOf(err)
			if status.Temporary() {
				d.warn("%s: cannot forward to %s: %v", d.a.Env.ID, f.requests[0].Addr, err)
				waits = d.fails(first, mail.Code(4, 3, 0), "unable to forward message")
				continue
			}
			d.fails(first, status.Enhanced, "%s", status.Text)
		}
	}
}

// send puts one message into the queue.
func (d *delivery) send(f *forward) (mail.QueueID, error) {
	rcpts, err := d.expandAll(f)
	if err != nil {
		return 0, err
	}
	id, now := d.Queue.NewID(), d.Now()
	draft, err := d.Queue.Stage(d.ctx)
	if err != nil {
		return 0, err
	}
	defer draft.Abort() // nothing, after a commit
	look := header.NewWriter(io.Discard, header.Options{})
	if err := d.copyTo(draft, look); err != nil {
		return 0, err
	}
	if look.Hops()+1 >= d.HopcountLimit { // ours counts as well
		return 0, &mail.Status{Code: 554, Enhanced: mail.Code(5, 4, 6), Text: "too many hops"}
	}
	old := d.a.Env
	env := &mail.Envelope{
		ID: id, Arrived: now, Sender: f.sender, EnvID: f.envID, Ret: f.ret, Client: old.Client,
		Flags: old.Flags & (mail.FlagBody8BitMIME | mail.FlagBody7Bit | mail.FlagSMTPUTF8 | mail.FlagRequireTLS | mail.FlagTLSOptional),
		Rcpts: rcpts,
		Prepend: fmt.Appendf(nil, "Received: by %s (%s)\r\n\tid %s; %s\r\n",
			d.MyHostname, d.MailName, id, header.Date(now)),
	}
	if slices.Contains(d.PrependDelivered, copyForward) {
		env.Prepend = fmt.Appendf(env.Prepend, "Delivered-To: %s\r\n", strings.ToLower(oneLine(f.to.String())))
	}
	// Before the commit: after it the queue manager's lines may be faster.
	look.LogMessageIDs(d.Log.With(mail.KeyDaemon, "cleanup"), id.String())
	return id, draft.Commit(d.ctx, env)
}

// copyTo copies the message as it came, byte for byte, and has its header looked at.
func (d *delivery) copyTo(draft io.Writer, look *header.Writer) error {
	m, err := message(d.a)
	if err != nil {
		return err
	}
	defer m.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := m.Read(buf)
		if n > 0 {
			if !look.Done() {
				look.Write(buf[:n]) // into nothing: it does not fail
			}
			if _, err := draft.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return look.Close()
		}
		if err != nil {
			return err
		}
	}
}

// expandAll finds out where the recipients lead, by virtual aliases too.
func (d *delivery) expandAll(f *forward) ([]mail.Recipient, error) {
	seen := mail.NewDuplicates(d.DuplicateFilterLimit, d.EnableOriginalRecipient)
	var rcpts []mail.Recipient
	for _, r := range f.requests {
		found, err := d.Router.Expand(d.ctx, r.RcptRequest)
		if err != nil {
			status := mail.StatusOf(err)
			if status.Temporary() {
				return nil, err
			}
			// The others are to get theirs: this one is returned to the sender.
			found = []mail.Recipient{{
				Final: r.Addr, Orig: r.Addr, ORcpt: r.ORcpt, Notify: r.Notify,
				Dest: mail.MakeDest("error", status.Enhanced.String()+" "+status.Text),
			}}
		}
		for i := range found {
			if !r.orig.IsNull() {
				found[i].Orig = r.orig
			}
			if !seen.Seen(&found[i]) {
				rcpts = append(rcpts, found[i])
			}
		}
	}
	return rcpts, nil
}
