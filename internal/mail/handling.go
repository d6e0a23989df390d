package mail

// Handling is what actions want done with a message as a whole beyond taking or refusing
// it: those of access(5), of header_checks(5) and of milters. Where it goes is decided when
// all of it has come. The zero value wants nothing.
type Handling struct {
	Hold     bool
	Discard  bool     // nobody gets it, and its sender is not told
	Redirect string   // the address that takes the place of all recipients
	BCC      []string // further recipients, of whom nobody is told
	Filter   string   // transport:nexthop that serves all recipients (content_filter)
	Prepend  []string // header fields to stand above the message
}

// Add takes over what was wanted later: a later address or filter takes the place of an
// earlier one.
func (h *Handling) Add(later Handling) {
	h.Hold = h.Hold || later.Hold
	h.Discard = h.Discard || later.Discard
	if later.Redirect != "" {
		h.Redirect = later.Redirect
	}
	if later.Filter != "" {
		h.Filter = later.Filter
	}
	h.BCC = append(h.BCC, later.BCC...)
	h.Prepend = append(h.Prepend, later.Prepend...)
}

// Filters is what a filter that names no next hop uses (postconf(5)).
type Filters struct {
	DefaultNextHop string // default_filter_nexthop; "": the domain of each recipient
	MyHostname     string // myhostname, for recipients that have none
}

// Route is where a message goes that was to go to rcpts. expand says where an address of
// an action leads; an error of it is that of Route. REDIRECT goes before everything else,
// also before a filter (qmgr(8)), and takes what the first recipient has asked for in the
// way of reports. Recipients that seen knows are not added.
func (h *Handling) Route(rcpts []Recipient, from Address, seen *Duplicates, f Filters, expand func(RcptRequest) ([]Recipient, error)) ([]Recipient, error) {
	if h.Redirect != "" && len(rcpts) > 0 {
		to, err := expand(RcptRequest{Addr: SplitAddress(h.Redirect), Sender: from})
		for i := range to {
			to[i].Orig, to[i].ORcpt, to[i].Notify = rcpts[0].Orig, rcpts[0].ORcpt, rcpts[0].Notify
		}
		return to, err
	}
	for _, bcc := range h.BCC {
		to, err := expand(RcptRequest{Addr: SplitAddress(bcc), Sender: from, Notify: NotifyNever})
		if err != nil {
			return nil, err
		}
		for i := range to {
			if !seen.Seen(&to[i]) {
				rcpts = append(rcpts, to[i])
			}
		}
	}
	if h.Filter != "" {
		for i := range rcpts {
			rcpts[i].Dest = f.Dest(h.Filter, rcpts[i].Final)
		}
	}
	return rcpts, nil
}

// Dest is the destination of a recipient whose mail goes through a filter.
func (f Filters) Dest(filter string, to Address) Dest {
	d := Dest(filter)
	nextHop := d.NextHop()
	for _, next := range []string{f.DefaultNextHop, to.Domain, f.MyHostname} {
		if nextHop == "" {
			nextHop = next
		}
	}
	return MakeDest(d.Transport(), nextHop)
}
