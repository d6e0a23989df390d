package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// A delivery status filter turns failures into others, never a failure into a success or
// the other way round (postconf(5): default_delivery_status_filter).
func TestStatusFilter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "filter")
	err := os.WriteFile(file, []byte("/^4.7.1 come back/ 5.7.1  never\n/^5.1.1 no/ 4.1.1 not yet\n/^2.0.0 ok/ 2.1.0 fine\n"+
		"/full/ 2.0.0 taken\n/lost/ 5.0.0 gone\n/odd/ later\n/bare/ 5.4.4\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	maps, err := table.OpenMaps([]string{"regexp:" + file}, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for _, c := range []struct {
		state  mail.State
		before string
		want   string // state, code and text
		warned string
	}{
		{mail.Deferred, "4.7.1 come back", "failed 5.7.1 never", ""},
		{mail.Failed, "5.1.1 no", "deferred 4.1.1 not yet", ""},
		{mail.Delivered, "2.0.0 ok", "delivered 2.1.0 fine", ""},
		{mail.Failed, "5.4.4 bare", "failed 5.4.4 ", ""},
		{mail.Failed, "5.9.9 nothing said", "failed 5.9.9 nothing said", ""},
		{mail.Failed, "5.2.2 full", "failed 5.2.2 full", "smtp_delivery_status_filter: bad status code: 2.0.0 taken"},
		{mail.Delivered, "2.0.0 lost", "delivered 2.0.0 lost", "smtp_delivery_status_filter: bad status code: 5.0.0 gone"},
		{mail.Deferred, "4.4.1 odd", "deferred 4.4.1 odd", "smtp_delivery_status_filter: bad status code: later"},
	} {
		var log bytes.Buffer
		f := &statusFilter{parameter: "smtp_delivery_status_filter", maps: maps, log: slog.New(slog.NewTextHandler(&log, nil))}
		code, text := mail.SplitEnhanced(c.before)
		r := mail.Result{State: c.state, Status: mail.Status{Enhanced: code}, Reason: text}
		f.result(t.Context(), &r)
		got := [...]string{"deferred", "delivered", "failed"}[r.State] + " " + r.Status.Enhanced.String() + " " + r.Reason
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.before, got, c.want)
		}
		if warned := log.String(); warned == "" != (c.warned == "") || !strings.Contains(warned, c.warned) {
			t.Errorf("%s: warned %q, want %q", c.before, warned, c.warned)
		}
		both := mail.Result{State: c.state, Targets: []mail.Target{{State: c.state, Status: mail.Status{Enhanced: code}, Reason: text}, {State: mail.Delivered, Status: mail.Status{Enhanced: mail.Code(2, 0, 0)}}}}
		if f.result(t.Context(), &both); both.State != mail.Delivered && r.State != mail.Deferred || both.Targets[0].State != r.State {
			t.Errorf("%s among others: %v, %v", c.before, both.State, both.Targets[0].State)
		}
	}
}
