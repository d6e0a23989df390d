package integration

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// milterDifferences are the cases in which we differ from Postfix on purpose: what a result
// has otherwise, and why. An empty word stands for a part that is not compared.
var milterDifferences = func() map[string]milterDifference {
	reason := func(why string) milterDifference {
		return milterDifference{"the reason for a quarantine is logged", func(r *milterResult) {
			for i, line := range r.Log {
				r.Log[i] = strings.Replace(line, "HOLD action;", "HOLD action: "+why+";", 1)
			}
		}}
	}
	text := func(old, ours string) milterDifference {
		return milterDifference{"a bound, or a number that Postfix takes from elsewhere", func(r *milterResult) {
			for i, line := range r.Log {
				r.Log[i] = strings.Replace(line, old, ours, 1)
			}
		}}
	}
	refused := func(status, why string) milterDifference {
		return milterDifference{"a user who submits hears of a refusal at once", func(r *milterResult) {
			r.Replies = []string{"exit status " + status, "sendmail: fatal: sender@client.example(0): " + why}
			r.Messages = nil
			if again := slices.IndexFunc(r.Milter1[1:], func(p string) bool { return strings.HasPrefix(p, "O ") }); again >= 0 {
				r.Milter1 = r.Milter1[:again+1] // Postfix tries again
			}
			r.Log = slices.Compact(r.Log)
		}}
	}
	return map[string]milterDifference{
		"quarantine": reason("looks odd"), "quarantine-then-accept": reason("odd"), "edits-and-quarantine": reason("odd"),
		"two-first-quarantines": reason("odd"), "submit-quarantine": reason("odd"),
		"packet-too-long":      text("> 1073741823", "> 1048576"),
		"data-behind-continue": text("followed by 24 data", "followed by 1 data"),
		"submit-reject-mail":   refused("75", "5.7.1 Command rejected"),
		"submit-reject-rcpt":   refused("75", "4.3.5 Server configuration error"),
		"submit-reject-data":   refused("75", "5.7.1 Command rejected"),
		"submit-reply-end":     refused("75", "5.7.1 not you"),
		"submit-tempfail-end":  refused("75", "4.7.1 Service unavailable - try again later"),
		"shutdown-end": {"a milter that wants the connection closed has not accepted the message", func(r *milterResult) {
			n := len(r.Replies)
			r.Replies = append(r.Replies[:n-2], "421 4.7.0 Server closing connection", "(closed)")
			r.Milter1 = r.Milter1[:len(r.Milter1)-3]
		}},
		"quarantine-mail": {"a quarantine before there is a message is not taken for the milter's failure", func(r *milterResult) {
			r.Log = r.Log[:1]
			at := slices.Index(r.Milter1, "M <sender@client.example>|") + 1
			r.Milter1 = slices.Insert(r.Milter1, at, "D R {rcpt_addr}|info@alias.example|{rcpt_host}|5.1.1 User unknown in virtual alias table|{rcpt_mailer}|error|",
				"R <info@alias.example>|", "D T i|ID|", "T")
		}},
		"delete-rcpt-all": {"that nobody gets a message is logged", func(r *milterResult) { r.Log = []string{"cleanup: ID: milter removed all recipients"} }},
		"odd-header": {"bytes of the header stay as they came", func(r *milterResult) {
			r.Messages[0].Data[slices.Index(r.Messages[0].Data, "Subject: spaced")] = "Subject : spaced"
		}},
	}
}()

// milterDifference changes a recorded result into ours.
type milterDifference struct {
	why    string
	change func(*milterResult)
}

// sameSettings puts the cases together that can share a mail system.
func sameSettings(cases []milterCase) (groups [][]milterCase) {
	at := map[string]int{}
	for _, c := range cases {
		i, ok := at[c.cf]
		if !ok {
			i = len(groups)
			at[c.cf] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// Our binary does what Postfix was recorded to do.
func TestMilterCases(t *testing.T) {
	for i, group := range sameSettings(milterCases()) {
		t.Run(group[0].name, func(t *testing.T) {
			t.Parallel()
			h := newMilterHouse(t, group[0].cf, i, false)
			for _, c := range group {
				t.Run(c.name, func(t *testing.T) {
					want := loadMilterResult(t, c.name)
					if d, ok := milterDifferences[c.name]; ok {
						d.change(&want)
					}
					compareMilter(t, h.run(t, c), want)
				})
			}
		})
	}
}

// milterSample are the cases that Postfix is asked again each time; MILTER_CHECK='.' asks it
// all of them.
const milterSample = `^(continue|reject-rcpt|reply-multiline-end|insert-|change-from|replace-body|away-tempfail|macros-own)`

// Postfix does what it was recorded to do. MILTER_RECORD records it.
func TestMiltersBesidePostfix(t *testing.T) {
	pattern, record := os.Getenv("MILTER_RECORD"), true
	if pattern == "" {
		record = false
		if pattern = os.Getenv("MILTER_CHECK"); pattern == "" {
			pattern = milterSample
		}
	}
	wanted := regexp.MustCompile(pattern)
	cases := slices.DeleteFunc(milterCases(), func(c milterCase) bool { return !wanted.MatchString(c.name) })
	for i, group := range sameSettings(cases) {
		t.Run(group[0].name, func(t *testing.T) {
			t.Parallel()
			h := newMilterHouse(t, group[0].cf, i, true)
			for _, c := range group {
				t.Run(c.name, func(t *testing.T) {
					got := h.run(t, c)
					if record {
						saveMilterResult(t, c.name, got)
						return
					}
					compareMilter(t, got, loadMilterResult(t, c.name))
				})
			}
		})
	}
}

func compareMilter(t *testing.T, got, want milterResult) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if a, b := g.Field(i), w.Field(i); !reflect.DeepEqual(a.Interface(), b.Interface()) && (a.Kind() != reflect.Slice || a.Len()+b.Len() > 0) {
			t.Errorf("%s:\n got %s\nwant %s", g.Type().Field(i).Name, lines(a), lines(b))
		}
	}
}

func lines(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, "\n     ")
	}
	if list, ok := v.Interface().([]milterIn); ok {
		var b strings.Builder
		for _, m := range list {
			b.WriteString(m.From + " to " + strings.Join(m.Rcpts, ", ") + "\n       " + strings.Join(m.Data, "\n       ") + "\n     ")
		}
		return b.String()
	}
	return v.String()
}

// Each recording belongs to a case, and each difference too.
func TestMilterRecordings(t *testing.T) {
	known := map[string]bool{}
	for _, c := range milterCases() {
		if known[c.name] {
			t.Errorf("two cases are called %s", c.name)
		}
		known[c.name] = true
	}
	entries, err := os.ReadDir("testdata/milters")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".json"); !known[name] {
			t.Errorf("testdata/milters/%s is of no case", e.Name())
		}
	}
	for name := range milterDifferences {
		if !known[name] {
			t.Errorf("a difference of no case: %s", name)
		}
	}
}
