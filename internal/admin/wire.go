package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// How the types of package mail look in JSON. Shapes of their own, because mail says
// nothing of JSON, and because an address may hold bytes that are not UTF-8: JSON
// would change them.

// text is a string that survives JSON: {"base64":"..."} where it is not UTF-8.
type text string

type encoded struct {
	Base64 []byte `json:"base64"`
}

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(encoded{[]byte(t)})
}

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var e encoded
		err := json.Unmarshal(b, &e)
		*t = text(e.Base64)
		return err
	}
	return json.Unmarshal(b, (*string)(t))
}

// address is local part and domain, apart as mail.Address keeps them.
type address [2]text

func (a address) mail() mail.Address { return mail.Address{Local: string(a[0]), Domain: string(a[1])} }

func toAddress(a mail.Address) address { return address{text(a.Local), text(a.Domain)} }

// listedLine is one line of a listing; the last one has End or Error.
type listedLine struct {
	Queue   string       `json:"queue,omitempty"`
	ID      mail.QueueID `json:"id,omitempty"`
	Arrived time.Time    `json:"arrived,omitzero"`
	Size    int64        `json:"size,omitempty"`
	Sender  address      `json:"sender,omitzero"`
	Expired bool         `json:"expired,omitempty"`
	Rcpts   []listedRcpt `json:"rcpts,omitempty"`
	trailer
}

type listedRcpt struct {
	Address address `json:"address"`
	Orig    text    `json:"orig,omitempty"`
	Reason  text    `json:"reason,omitempty"`
	Dest    text    `json:"dest,omitempty"`
}

// trailer ends a stream, so that one that was cut off is known as such.
type trailer struct {
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"`
	// Before the last line there may be some that only say how far the work is.
	Progress *progressLine `json:"progress,omitempty"`
}

func (t trailer) last() trailer { return t }

type progressLine struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
}

func toListed(m mail.Listed) listedLine {
	l := listedLine{Queue: m.Queue, ID: m.ID, Arrived: m.Arrived, Size: m.Size, Sender: toAddress(m.Sender), Expired: m.Expired}
	l.Rcpts = make([]listedRcpt, len(m.Rcpts))
	for i, r := range m.Rcpts {
		l.Rcpts[i] = listedRcpt{toAddress(r.Address), text(r.Orig), text(r.Reason), text(r.Dest)}
	}
	return l
}

func (l listedLine) mail() mail.Listed {
	m := mail.Listed{Queue: l.Queue, ID: l.ID, Arrived: l.Arrived, Size: l.Size, Sender: l.Sender.mail(), Expired: l.Expired}
	m.Rcpts = make([]mail.ListedRcpt, len(l.Rcpts))
	for i, r := range l.Rcpts {
		m.Rcpts[i] = mail.ListedRcpt{Address: r.Address.mail(), Orig: string(r.Orig), Reason: string(r.Reason), Dest: mail.Dest(r.Dest)}
	}
	return m
}

// heldLine is a mail.HeldDest.
type heldLine struct {
	Dest   text      `json:"dest"`
	Reason text      `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

func (l heldLine) mail() mail.HeldDest {
	return mail.HeldDest{Dest: mail.Dest(l.Dest), Reason: string(l.Reason), Since: l.Since}
}

// selectRequest asks for a listing of some messages.
type selectRequest struct {
	Queues []string  `json:"queues,omitempty"`
	Select Selection `json:"select,omitzero"`
}

// resultLine is one line of the answer to a Request.
type resultLine struct {
	ID       mail.QueueID `json:"id,omitempty"`
	NotFound bool         `json:"not_found,omitempty"`
	Failed   string       `json:"failed,omitempty"`
	trailer
}

func toResult(r Result) resultLine {
	l := resultLine{ID: r.ID, NotFound: r.Err == ErrNotFound}
	if r.Err != nil && !l.NotFound {
		l.Failed = r.Err.Error()
	}
	return l
}

func (l resultLine) result() Result {
	switch {
	case l.NotFound:
		return Result{l.ID, ErrNotFound}
	case l.Failed != "":
		return Result{l.ID, errors.New(l.Failed)}
	}
	return Result{ID: l.ID}
}

// envelope is all of mail.Envelope.
type envelope struct {
	ID      mail.QueueID `json:"id"`
	Arrived time.Time    `json:"arrived"`
	Sender  address      `json:"sender"`
	EnvID   text         `json:"envid,omitempty"`
	Ret     string       `json:"ret,omitempty"`
	Flags   mail.Flags   `json:"flags,omitempty"`
	Client  client       `json:"client"`
	Prepend []byte       `json:"prepend,omitempty"`
	Rcpts   []recipient  `json:"rcpts"`
	Size    int64        `json:"size"`
	CRC     uint32       `json:"crc"`
}

type client struct {
	Name     text       `json:"name,omitempty"`
	Addr     netip.Addr `json:"addr,omitzero"`
	Port     uint16     `json:"port,omitempty"`
	Helo     text       `json:"helo,omitempty"`
	Protocol string     `json:"protocol,omitempty"`
	UID      int        `json:"uid"`
}

type recipient struct {
	Final  address     `json:"final"`
	Orig   address     `json:"orig"`
	ORcpt  text        `json:"orcpt,omitempty"`
	Notify mail.Notify `json:"notify,omitempty"`
	Dest   text        `json:"dest"`
}

func toEnvelope(e *mail.Envelope) envelope {
	c := e.Client
	out := envelope{
		ID: e.ID, Arrived: e.Arrived, Sender: toAddress(e.Sender), EnvID: text(e.EnvID), Ret: e.Ret, Flags: e.Flags,
		Client:  client{text(c.Name), c.Addr, c.Port, text(c.Helo), c.Protocol, c.UID},
		Prepend: e.Prepend, Size: e.Size, CRC: e.CRC,
		Rcpts: make([]recipient, len(e.Rcpts)),
	}
	for i, r := range e.Rcpts {
		out.Rcpts[i] = recipient{toAddress(r.Final), toAddress(r.Orig), text(r.ORcpt), r.Notify, text(r.Dest)}
	}
	return out
}

func (e envelope) mail() *mail.Envelope {
	c := e.Client
	out := &mail.Envelope{
		ID: e.ID, Arrived: e.Arrived, Sender: e.Sender.mail(), EnvID: string(e.EnvID), Ret: e.Ret, Flags: e.Flags,
		Client:  mail.Client{Name: string(c.Name), Addr: c.Addr, Port: c.Port, Helo: string(c.Helo), Protocol: c.Protocol, UID: c.UID},
		Prepend: e.Prepend, Size: e.Size, CRC: e.CRC,
		Rcpts: make([]mail.Recipient, len(e.Rcpts)),
	}
	for i, r := range e.Rcpts {
		out.Rcpts[i] = mail.Recipient{Final: r.Final.mail(), Orig: r.Orig.mail(), ORcpt: string(r.ORcpt), Notify: r.Notify, Dest: mail.Dest(r.Dest)}
	}
	return out
}

// parseID reads a queue ID out of a URL.
func parseID(s string) (mail.QueueID, error) {
	id, err := mail.ParseQueueID(s)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", s, err)
	}
	return id, nil
}
