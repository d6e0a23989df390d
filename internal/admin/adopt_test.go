package admin

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/sock"
)

// An adoption tells how far it is while it goes on, and how it ended.
func TestAdopt(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
	}{{"to its end", nil}, {"until the disk is full", errors.New("no room")}} {
		t.Run(tt.name, func(t *testing.T) {
			heard := make(chan struct{})
			c := serve(t, Options{Adopt: func(_ context.Context, dir string, progress func(mail.Adoption)) (mail.Adoption, error) {
				if dir != "/old/queue" {
					t.Errorf("adopt %s", dir)
				}
				progress(mail.Adoption{Messages: 1})
				<-heard // the client knows before it is over
				progress(mail.Adoption{Messages: 2})
				progress(mail.Adoption{Messages: 3})
				return mail.Adoption{Messages: 4, Whole: tt.err == nil}, tt.err
			}})
			told := 0
			sum, err := c.Adopt(t.Context(), "/old/queue", func(sofar mail.Adoption) {
				if told++; told == 1 {
					if sofar.Messages != 1 {
						t.Errorf("first %+v", sofar)
					}
					close(heard)
				}
			})
			if (err == nil) != (tt.err == nil) || err != nil && !strings.Contains(err.Error(), "no room") {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if sum != (mail.Adoption{Messages: 4, Whole: tt.err == nil}) {
				t.Errorf("%+v", sum)
			}
		})
	}
}

// An adoption ends when its client goes, and when the daemon is to end.
func TestAdoptEnds(t *testing.T) {
	for name, end := range map[string]func(s *Server, cancel context.CancelFunc){
		"client": func(_ *Server, cancel context.CancelFunc) { cancel() },
		"daemon": func(s *Server, _ context.CancelFunc) { go s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan struct{})
			path := filepath.Join(t.TempDir(), "control")
			l, err := sock.Listen(path, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			s := NewServer(Options{Adopt: func(ctx context.Context, _ string, progress func(mail.Adoption)) (mail.Adoption, error) {
				close(begun)
				<-ctx.Done()
				close(ended)
				return mail.Adoption{}, ctx.Err()
			}})
			go s.Serve(l)
			defer s.Shutdown(context.Background())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answered := make(chan error, 1)
			go func() {
				_, err := Dial(path).Adopt(ctx, "/old", func(mail.Adoption) {})
				answered <- err
			}()
			<-begun
			end(s, cancel)
			<-ended
			if err := <-answered; err == nil {
				t.Error("the client was told that all is done")
			}
		})
	}
}

func TestAdoptRefused(t *testing.T) {
	c := serve(t, Options{})
	if _, err := c.Adopt(t.Context(), "/old", func(mail.Adoption) {}); err == nil || !strings.Contains(err.Error(), "cannot take over") {
		t.Errorf("%v", err)
	}
	c = serve(t, Options{Adopt: func(context.Context, string, func(mail.Adoption)) (mail.Adoption, error) {
		t.Error("called")
		return mail.Adoption{}, nil
	}})
	if _, err := c.Adopt(t.Context(), "old", func(mail.Adoption) {}); err == nil || !strings.Contains(err.Error(), "absolute path") {
		t.Errorf("%v", err)
	}
}
