package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"aliasmx/internal/mail"
)

// Taking over the queue of a dead node: a stream of how far it is. The adoption ends with
// the client that asked for it, or with the daemon; what was taken stays taken.

// adoptRequest names the directory, by a path that means the same to both sides.
type adoptRequest struct {
	Dir string `json:"dir"`
}

// adoptLine is one line of the answer.
type adoptLine struct {
	Adoption *mail.Adoption `json:"adoption,omitempty"`
	trailer
}

// adoptEvery is how often the client hears something, also when there is nothing new: it
// would take silence for death.
const adoptEvery = 5 * time.Second

func (s *Server) adopt(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // see actions
	var req adoptRequest
	if err := json.Unmarshal(body, &req); err != nil || !filepath.IsAbs(req.Dir) {
		return fmt.Errorf("%w: adopt needs the absolute path of a directory", errBadRequest)
	}
	if s.o.Adopt == nil {
		return errors.New("this queue cannot take over another")
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.leaving, cancel)()

	progress := make(chan mail.Adoption, 1) // the latest
	type end struct {
		sum mail.Adoption
		err error
	}
	ended := make(chan end, 1)
	s.tasks.Go(func() {
		sum, err := s.o.Adopt(ctx, req.Dir, func(sofar mail.Adoption) {
			select {
			case <-progress:
			default:
			}
			progress <- sofar
		})
		ended <- end{sum, err}
	})
	out := s.stream(w)
	tick := time.NewTicker(adoptEvery)
	defer tick.Stop()
	var latest, told mail.Adoption
	tell := func() {
		told = latest
		sent := latest
		if !out.send(adoptLine{Adoption: &sent}) || out.buf.Flush() != nil {
			cancel()
		}
	}
	for {
		select {
		case latest = <-progress:
			if told == (mail.Adoption{}) {
				tell()
			}
		case <-tick.C:
			tell()
		case e := <-ended:
			latest = e.sum
			tell()
			out.finish(e.err)
			return nil
		}
	}
}

// Adopt lets the daemon take over the queue in dir, an absolute path, and yields how far it
// is. It returns when that has come to its end.
func (c *Client) Adopt(ctx context.Context, dir string, progress func(mail.Adoption)) (mail.Adoption, error) {
	var sum mail.Adoption
	err := readLines(ctx, c, http.MethodPost, "queue/adopt", adoptRequest{dir}, nil,
		func(l adoptLine) bool {
			if l.Adoption != nil {
				sum = *l.Adoption
				progress(sum)
			}
			return true
		})
	return sum, err
}
