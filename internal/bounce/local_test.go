package bounce

import (
	"context"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// What local delivery reports: the output of a command, and aliases that were expanded
// at delivery. The fields are those of Debian's Postfix 3.7.11 for the same.
func TestLocalResults(t *testing.T) {
	list := mail.Recipient{Final: addr("list@mx.example.com"), Orig: addr("list@mx.example.com"), ORcpt: "rfc822;list@mx.example.com", Notify: mail.NotifySuccess | mail.NotifyFailure}
	command := failed(list, mail.Result{
		Status: mail.Status{Enhanced: mail.Code(5, 3, 0)}, Reason: `Command died with status 1: "x". Command output: hello world `,
		Agent: "local", Relay: "local", RemoteReply: "hello world ", ReplyType: "x-unix",
	})
	expanded := failed(list, mail.Result{Status: mail.Status{Enhanced: mail.Code(2, 0, 0)}, Reason: "alias expanded", Agent: "local", Relay: "local"})
	expanded.Kind, expanded.Results[0].State = mail.ReportExpanded, mail.Delivered
	sent := expanded
	sent.Kind = mail.ReportDelivered
	for _, tt := range []struct {
		name   string
		report mail.Report
		fields string
	}{
		{"command", command, "Action: failed\nStatus: 5.3.0\nDiagnostic-Code: x-unix; hello world"},
		{"alias", expanded, "Action: expanded\nStatus: 2.0.0\nDiagnostic-Code: X-Postfix; delivery via local: alias expanded"},
		{"list", sent, "Action: delivered\nStatus: 2.0.0\nDiagnostic-Code: X-Postfix; delivery via local: alias expanded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, body, err := newTestWriter(t, nil).Notify(context.Background(), tt.report)
			if err != nil || env == nil {
				t.Fatal(env, err)
			}
			want := "Final-Recipient: rfc822; list@mx.example.com\nOriginal-Recipient: rfc822;list@mx.example.com\n" + tt.fields + "\n"
			if !strings.Contains(string(body), crlf(want)) {
				t.Errorf("want\n%s\nin\n%s", want, body)
			}
		})
	}
}
