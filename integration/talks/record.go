package talks

import (
	"fmt"
	"strings"
	"time"
)

// quiet is how long a server says nothing when it waits for the client.
const quiet = 100 * time.Millisecond

// Record has a conversation without expecting anything and returns it with the replies
// that came. What was expected before is left out.
func (p *Player) Record(c *Conversation) []string {
	r := &recording{talk: &talk{Player: p, c: c}}
	defer r.hangUp()
	for _, s := range c.Steps {
		switch s.Kind {
		case "S:", "~:":
			continue
		case "X:":
			if r.at == nil && r.connect(s, "127.0.0.2") != nil {
				return r.lines
			}
			r.at.greeted, r.patience = true, 5*time.Second
			r.hear(false)
			continue
		case "#":
			r.lines = append(r.lines, s.Text)
			continue
		}
		r.step(s)
	}
	return r.lines
}

type recording struct {
	*talk
	lines []string
	over  bool // the server has closed
	// patience is how long the server may take to say something.
	patience time.Duration
}

func (r *recording) step(s Step) {
	r.patience = quiet
	if r.at == nil && s.Kind != "open" && s.Kind != "also" {
		if r.connect(s, "127.0.0.2") != nil {
			return
		}
	}
	switch s.Kind {
	case "open", "also":
		r.talk.step(s)
		r.over = false
		r.say(s)
		r.patience = 5 * time.Second
		r.hear(true)
		r.at.greeted = true
		return
	case "back", "T:":
		err := r.talk.step(s)
		if f, ok := err.(*Failure); ok {
			r.lines = append(r.lines, "# failed: "+f.Got)
		}
		r.say(s)
		if s.Kind == "T:" && !r.at.greeted {
			r.hear(false)
			r.at.greeted = true
		}
		return
	case "W:":
		d, _ := time.ParseDuration(s.Text)
		r.Pause(d)
		r.say(s)
		r.hear(false)
		return
	}
	if !r.at.greeted {
		r.at.greeted = true
		if s.Kind != "B:" {
			before := len(r.lines)
			r.patience = 5 * time.Second
			r.hear(true)
			if len(r.lines) == before+1 && strings.HasPrefix(r.lines[before], "S: 220 ") {
				r.lines = r.lines[:before]
			}
		}
	}
	r.say(s)
	before := len(r.lines)
	kind := s.Kind
	if r.patience = quiet; kind == "C:" || kind == "E:" {
		r.patience = 5 * time.Second
	}
	if kind == "E:" {
		s.Kind, s.Text = "C:", "EHLO "+s.Text
	}
	r.at.greeted = true
	if r.talk.step(s); kind == "Z:" {
		return
	}
	r.hear(s.Kind == "C:")
	if kind == "E:" && len(r.lines) > before && strings.HasPrefix(r.lines[len(r.lines)-1], "S: 250 ") {
		r.lines = r.lines[:before]
	}
}

func (r *recording) say(s Step) {
	r.lines = append(r.lines, strings.TrimSuffix(s.Kind+" "+s.Text, " "))
}

// hear takes down what comes until nothing more does, or only one reply.
func (r *recording) hear(one bool) {
	for !r.over {
		r.at.nc.SetReadDeadline(time.Now().Add(r.patience))
		got, err := r.at.r.ReadString('\n')
		r.at.nc.SetReadDeadline(time.Time{})
		switch {
		case err == nil:
			got = r.IDs.Reply(strings.TrimSuffix(got, "\r\n"))
			r.lines = append(r.lines, "S: "+got)
			if one && (len(got) < 4 || got[3] == ' ') {
				return
			}
		case isTimeout(err):
			if got != "" {
				r.lines = append(r.lines, fmt.Sprintf("# half a line: %q", got))
			}
			return
		default:
			r.lines, r.over = append(r.lines, "X:"), true
		}
	}
}

// Text is the file again, with the steps, the queue and the log as given.
func (c *Conversation) Text(steps, queue, log []string) string {
	lines := append([]string{"== " + c.Title}, c.Head...)
	lines = append(lines, steps...)
	if len(queue) > 0 {
		lines = append(append(lines, "-- queue"), queue...)
	}
	if len(log) > 0 {
		lines = append(append(lines, "-- log"), log...)
	}
	return strings.Join(lines, "\n") + "\n"
}
