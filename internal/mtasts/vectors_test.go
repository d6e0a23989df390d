package mtasts

import (
	"testing"

	"aliasmx/integration/smuggle"
)

// The record and policy cases of mox, each good or bad.
func TestMoxVectors(t *testing.T) {
	var list []struct{ Test, Call, Input, Note string }
	smuggle.Read(t, "../mta-sts/mox-mtasts.json", &list)
	records, policies := 0, 0
	for _, c := range list {
		var err error
		switch c.Test {
		case "TestRecord":
			records++
			_, err = ParseRecord([]string{c.Input})
		case "TestParsePolicy":
			policies++
			_, err = ParsePolicy([]byte(c.Input))
		default:
			t.Errorf("unknown kind of case %q", c.Test)
		}
		if good := c.Call == "good"; good != (err == nil) {
			t.Errorf("%s %q is %s (%s): %v", c.Test, c.Input, c.Call, c.Note, err)
		}
	}
	if records < 15 || policies < 20 {
		t.Errorf("only %d records and %d policies", records, policies)
	}
}
