package integration

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Cases of our own, in the form of the recordings. What Postfix does with them is
// recorded from Debian's Postfix by
//
//	BESIDE_RECORD='name or pattern' go test ./integration -run TestBesidePostfix
//
// which fills in the results of the matching files of testdata/beside; a new case is a
// file without results. TestBesideCases replays them without a Postfix, as
// TestPostfixCases does the others.

func TestBesideCases(t *testing.T) { replayAll(t, "beside") }

// besideSample are recordings that show in a few seconds that the driver still stands
// as the recorder did; BESIDE_CHECK='.' takes them all.
const besideSample = `^(deliver-550-partial|dsn-notify-mixed|header-none-local|map-duplicate-btree|proto-order|sendmail-t)$`

// What records is right when it reproduces the recordings that others made.
func TestBesidePostfix(t *testing.T) {
	dir, pattern := "testdata/beside", os.Getenv("BESIDE_RECORD")
	record := pattern != ""
	if !record {
		dir, pattern = "testdata/postfix", os.Getenv("BESIDE_CHECK")
	}
	if pattern == "" {
		pattern = besideSample
	}
	cases, err := loadCases(dir)
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(pattern)
	for i, c := range cases {
		if !wanted.MatchString(c.Name) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if record {
				c.Postmap = besideCommands(c)
			}
			diffs, o := driveRecorder(t, c, i)
			if record {
				if err := writeRecording(filepath.Join(dir, c.Name+".json"), o); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, d := range diffs {
				t.Error(d)
			}
		})
	}
}

// driveRecorder runs a case against a Postfix.
func driveRecorder(t *testing.T, c postfixCase, number int) (diffs []diff, o outcome) {
	p := &probe{TB: t}
	var done sync.WaitGroup
	done.Go(func() {
		r := prepare(p, c, func(cf map[string]string) subject { return newRecorder(p, cf, caseAddr(p, number)) })
		r.index(c.Postmap)
		r.relay.start()
		defer r.relay.stop()
		r.sessions(p)
		diffs, o = r.compare(p)
	})
	done.Wait()
	for _, f := range p.failures {
		t.Error(f)
	}
	return diffs, o
}

var indexedTable = regexp.MustCompile(`\b(?:hash|btree|cdb|lmdb):\{dir\}/[\w.-]+`)

// besideCommands are the postmap commands of a case: those it names, but first each
// table that main.cf has as an indexed one.
func besideCommands(c postfixCase) (commands []recordedCommand) {
	known := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.MainCF)) {
		for _, spec := range indexedTable.FindAllString(c.MainCF[name], -1) {
			_, file, _ := strings.Cut(spec, ":{dir}/")
			if _, there := c.Files[file]; there && !known[spec] {
				known[spec] = true
				commands = append(commands, recordedCommand{Cmd: "postmap " + spec})
			}
		}
	}
	for _, p := range c.Postmap {
		if spec := strings.TrimPrefix(p.Cmd, "postmap "); !known[spec] {
			commands = append(commands, p)
		}
	}
	return commands
}

// writeRecording puts the results into the file of a case, as README.md describes them.
func writeRecording(file string, o outcome) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var input struct {
		Name     json.RawMessage   `json:"name"`
		Area     json.RawMessage   `json:"area"`
		About    json.RawMessage   `json:"about"`
		MainCF   json.RawMessage   `json:"main_cf"`
		Files    json.RawMessage   `json:"files"`
		Sink     json.RawMessage   `json:"sink,omitempty"`
		Sessions []map[string]any  `json:"sessions"`
		Postmap  []recordedCommand `json:"postmap"`

		Deliveries any    `json:"deliveries"`
		Bounces    any    `json:"bounces"`
		Messages   any    `json:"messages"`
		Queue      any    `json:"queue"`
		Log        any    `json:"log"`
		With       string `json:"recorded_with"`
	}
	if err := json.Unmarshal(text, &input); err != nil {
		return err
	}
	for i, s := range input.Sessions {
		if s["sendmail"] != nil {
			s["result"] = map[string]any{"exit": o.sendmail[i].Exit, "output": o.sendmail[i].Output}
		} else if s["client"] != nil {
			s["replies"] = recorded(o.sessions[i], "code", "enhanced")
		}
	}
	input.Postmap = append([]recordedCommand{}, o.postmap...)
	input.Deliveries = recorded(sorted(o.deliveries), "orig_to")
	input.Bounces = recorded(sorted(o.bounces), "original_recipient", "remote_mta", "diagnostic")
	input.Messages = recorded(sorted(o.messages))
	input.Queue = recorded(sortedQueue(o.queue))
	input.Log = recorded(o.log)
	input.With = "Postfix 3.7.11 (Debian 12)"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(input); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// recorded has a list as a recording has it: the named fields are null when empty.
func recorded[T any](list []T, nullable ...string) []any {
	out := []any{}
	for _, v := range list {
		text, _ := json.Marshal(v)
		var fields map[string]any
		if json.Unmarshal(text, &fields) != nil {
			out = append(out, v)
			continue
		}
		for _, name := range nullable {
			if fields[name] == "" || fields[name] == 0.0 {
				fields[name] = nil
			}
		}
		out = append(out, fields)
	}
	return out
}

// A difference on purpose has its rule in docs/differences.md.
func TestBesideRules(t *testing.T) {
	rows, err := differenceRows("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	notYet, err := loadNotYet("testdata/beside-not-yet.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range notYet {
		if _, ok := rows[e.rule]; !ok && e.rule != "" {
			t.Errorf("%s: no row %q in docs/differences.md", name, e.rule)
		}
	}
}
