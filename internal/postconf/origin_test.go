package postconf

import "testing"

// A default that another parameter puts out of its range is brought back into it; a value
// that somebody wrote is not.
func TestDefaultOutOfRange(t *testing.T) {
	for main, want := range map[string]string{
		"":                            "500 500",
		"default_process_limit = 1\n": "10 5",
		"default_process_limit = 7\n": "10 7",
		"default_process_limit = 1\npostscreen_pre_queue_limit = 20\n":                     "20 5",
		"default_process_limit = 1\npostscreen_pre_queue_limit = $default_process_limit\n": `/etc/test/main.cf, line 2: postscreen_pre_queue_limit (by $default_process_limit, main.cf, line 1): "1" is out of range; write 10 or more`,
	} {
		c, err := Load(optionsOf(main, ""))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = c.Get("postscreen_pre_queue_limit") + " " + c.Get("postscreen_post_queue_limit")
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", main, got, want)
		}
	}
}
