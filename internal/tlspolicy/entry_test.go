package tlspolicy

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func text(s string) *string { return &s }

func TestParseEntry(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  entry
		wrong string
	}{
		{value: "none", want: entry{level: mail.TLSNone}},
		{value: "none whatever, this={ a b }", want: entry{level: mail.TLSNone, ignored: []string{"whatever", "this={ a b }"}}},
		{value: " may ", want: entry{level: mail.TLSMay}},
		{value: "Dane-Only", want: entry{level: mail.TLSDANEOnly}},
		{value: "encrypt,protocols=>=TLSv1.3\tCiphers=high", want: entry{level: mail.TLSEncrypt, protocols: text(">=TLSv1.3"), ciphers: "high"}},
		{value: "encrypt protocols= exclude=", want: entry{level: mail.TLSEncrypt, protocols: text(""), exclude: text("")}},
		{value: "secure match=a.example:.b.example match=::nexthop", want: entry{level: mail.TLSSecure, match: []string{"a.example", ".b.example", "nexthop"}}},
		{value: "fingerprint match=AA:BB|CC:DD match=EE", want: entry{level: mail.TLSFingerprint, match: []string{"AA:BB", "CC:DD", "EE"}}},
		{value: "verify tafile=/a tafile=/b servername=mx.example", want: entry{level: mail.TLSVerify, tafiles: []string{"/a", "/b"}, servername: "mx.example"}},
		{value: "secure connection_reuse=Yes connection_reuse=no enable_rpk=no", want: entry{level: mail.TLSSecure}},
		{value: "secure { match = a.example } {tafile=/with a\t blank}", want: entry{level: mail.TLSSecure, match: []string{"a.example"}, tafiles: []string{"/with a blank"}}},
		{value: "secure match=.mx.example policy_type=STS policy_domain=example.com policy_ttl=86400 { policy_string = version: STSv1 } " +
			"{ policy_string = mode: enforce } mx_host_pattern=*.mx.example mx_host_pattern=mx.example policy_failure=sts-webpki-invalid",
			want: entry{level: mail.TLSSecure, match: []string{".mx.example"}, failure: "sts-webpki-invalid", published: mail.TLSPublished{
				Type: "sts", Domain: "example.com", Strings: []string{"version: STSv1", "mode: enforce"}, Hosts: []string{"*.mx.example", "mx.example"}}}},

		{value: " , ", wrong: "invalid empty policy"},
		{value: "half-dane", wrong: `invalid security level "half-dane"`},
		{value: "encrypt protocols = TLSv1.2", wrong: `malformed attribute/value pair "protocols": missing '=' after attribute name`},
		{value: "encrypt =x", wrong: `malformed attribute/value pair "=x": missing attribute name`},
		{value: "encrypt {}", wrong: `malformed attribute/value pair "{}": missing attribute name`},
		{value: "encrypt {a b=c}", wrong: `malformed attribute/value pair "{a b=c}": missing '=' after attribute name`},
		{value: "encrypt {exclude=a}b", wrong: `malformed attribute/value pair "{exclude=a}b": syntax error after '}' in "{exclude=a}b"`},
		{value: "encrypt {exclude=a", wrong: `malformed attribute/value pair "{exclude=a": missing '}' in "{exclude=a"`},
		{value: "encrypt exclude=a EXCLUDE=b", wrong: `attribute "EXCLUDE" is specified multiple times`},
		{value: "encrypt Match=a", wrong: `attribute "Match" invalid at security level "encrypt"`},
		{value: "dane match=a", wrong: `attribute "match" invalid at security level "dane"`},
		{value: "fingerprint tafile=/a", wrong: `attribute "tafile" invalid at security level "fingerprint"`},
		{value: "secure tafile=", wrong: `attribute "tafile" has empty value`},
		{value: "may servername=", wrong: `"servername=" specifies an invalid hostname`},
		{value: "may enable_rpk=perhaps", wrong: `attribute "enable_rpk" has bad value: "perhaps"`},
		{value: "may policy_ttl=1d", wrong: `attribute "policy_ttl" has a malformed value: "1d"`},
		{value: "may policy_type=tlsa", wrong: `attribute "policy_type" has an unexpected value: "tlsa"`},
		{value: "may policy_domain=a..b", wrong: `attribute "policy_domain" has a malformed value: "a..b"`},
		{value: "may policy_type=sts policy_failure=bad", wrong: `attribute "policy_failure" has an unexpected value: "bad"`},
		{value: "may policy_ttl=1", wrong: "built-in policy has unexpected attribute policy_ttl, policy_domain, policy_string, mx_host_pattern or policy_failure"},
		{value: "may colour=blue", wrong: `invalid attribute name: "colour"`},
	} {
		got, err := parseEntry(tt.value)
		switch {
		case tt.wrong != "":
			if err == nil || err.Error() != tt.wrong {
				t.Errorf("%q: %v, want %s", tt.value, err, tt.wrong)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.value, err)
		default:
			if len(got.ignored) == 0 {
				got.ignored = nil
			}
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("%q:\ngot  %+v\nwant %+v", tt.value, *got, tt.want)
			}
		}
	}
}

// FuzzEntry: an entry that can be read can be written again, and is then read as the same;
// and it asks for nothing that its level does not know.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{
		"may", "none x", "secure match=a:b tafile=/x { tafile = /a b }", "fingerprint match=AA:BB|CC exclude=a{b c", "encrypt,ciphers=high",
		"secure match=a policy_type=sts policy_domain=a.example policy_string=x mx_host_pattern=*.a policy_failure=validation-failure", "dane {servername={x}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		e, err := parseEntry(value)
		if err != nil {
			return
		}
		if !levels[e.level] {
			t.Fatalf("%q: level %q", value, e.level)
		}
		if verifies := e.level == mail.TLSVerify || e.level == mail.TLSSecure; !verifies && (e.tafiles != nil || e.match != nil && e.level != mail.TLSFingerprint) {
			t.Fatalf("%q: asks for verification at level %s: %+v", value, e.level, e)
		}
		written := e.write()
		again, err := parseEntry(written)
		if err != nil {
			t.Fatalf("%q, written %q: %v", value, written, err)
		}
		if !reflect.DeepEqual(e, again) {
			t.Fatalf("%q, written %q:\n%+v\n%+v", value, written, e, again)
		}
	})
}

// write is what parseEntry reads.
func (e *entry) write() string {
	words, last := []string{string(e.level)}, []string(nil)
	words = append(words, e.ignored...)
	add := func(name string, values ...string) {
		for _, v := range values {
			word := name + "=" + v
			switch {
			case len(fields(word)) == 1 && fields(word)[0] == word && strings.Count(v, "{") <= strings.Count(v, "}"):
				words = append(words, word)
			case len(fields(word)) == 1 && fields(word)[0] == word: // all that follows is of it
				last = append(last, word)
			default:
				words = append(words, "{ "+name+" = "+v+" }")
			}
		}
	}
	pointer := func(name string, v *string) {
		if v != nil {
			add(name, *v)
		}
	}
	separator := ":"
	if e.level == mail.TLSFingerprint {
		separator = "|"
	}
	if e.match != nil {
		add("match", strings.Join(e.match, separator))
	}
	add("tafile", e.tafiles...)
	pointer("protocols", e.protocols)
	pointer("exclude", e.exclude)
	for _, a := range [][2]string{{"ciphers", e.ciphers}, {"servername", e.servername}, {"policy_type", e.published.Type},
		{"policy_domain", e.published.Domain}, {"policy_failure", e.failure}} {
		if a[1] != "" {
			add(a[0], a[1])
		}
	}
	add("policy_string", e.published.Strings...)
	add("mx_host_pattern", e.published.Hosts...)
	return strings.Join(slices.Concat(words, last), " ")
}

func TestValidHostname(t *testing.T) {
	for name, want := range map[string]bool{
		"example.com": true, "a": true, "a_b.example": true, "1.example": true, "x--y.example": true,
		"": false, ".example.com": false, "example.com.": false, "a..b": false, "-a.example": false, "a-.example": false, "192.0.2.1": false,
		"[a]": false, "a:25": false, "a b": false, strings.Repeat("a", 63) + ".example": true, strings.Repeat("a", 64) + ".example": false,
		strings.Repeat("a.", 128) + "b": false,
	} {
		if got := validHostname(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
