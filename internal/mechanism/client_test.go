package mechanism

import (
	"errors"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

func options(t *testing.T, words string) Security {
	t.Helper()
	s, err := ParseSecurity(strings.Fields(words))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is chosen of what a server offers, under each option.
func TestChoose(t *testing.T) {
	const all = "GSSAPI LOGIN PLAIN XOAUTH2 OAUTHBEARER CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 ANONYMOUS EXTERNAL"
	for _, c := range []struct{ offered, options, want string }{
		{all, "", "SCRAM-SHA-256"},
		{all, "noplaintext noanonymous", "SCRAM-SHA-256"},
		{"LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH", "noanonymous", "PLAIN"}, // Gmail's
		{"LOGIN XOAUTH2", "noanonymous", "LOGIN"},
		{"login plain", "", "PLAIN"},
		{"xoauth2", "noanonymous", "XOAUTH2"},
		{"CRAM-MD5 PLAIN", "noanonymous", "CRAM-MD5"},
		{"CRAM-MD5 PLAIN", "noactive", ""},
		{"CRAM-MD5 PLAIN SCRAM-SHA-1", "mutual_auth", "SCRAM-SHA-1"},
		{"CRAM-MD5 PLAIN SCRAM-SHA-1", "noactive", "SCRAM-SHA-1"},
		{all, "nodictionary", ""},
		{all, "forward_secrecy", ""},
		{"LOGIN PLAIN XOAUTH2 OAUTHBEARER", "noplaintext", ""},
		{"ANONYMOUS EXTERNAL GSSAPI", "", ""},
		{"", "", ""},
	} {
		got := ""
		x, err := Choose(strings.Fields(c.offered), options(t, c.options), Credentials{User: "u", Password: "p"})
		if err == nil {
			if got, _, err = x.Start(); err != nil {
				t.Errorf("%s (%s): %v", c.offered, c.options, err)
			}
		} else if !errors.Is(err, ErrNone) {
			t.Errorf("%s (%s): %v", c.offered, c.options, err)
		}
		if got != c.want {
			t.Errorf("%s (%s): %q, want %q", c.offered, c.options, got, c.want)
		}
	}
}

// Whole exchanges: what the client says, from the initial response on; "-" is none.
func TestExchanges(t *testing.T) {
	for _, c := range []struct {
		mechanism, user, password string
		authzid                   bool
		challenges, responses     string
		finish                    error
	}{
		{"PLAIN", "u", "p", false, "", "|u|p", nil},
		{"PLAIN", "u", "p", true, "", "u|u|p", nil},
		{"PLAIN", "u", "p", false, "more?", "|u|p ! generic failure", nil},
		{"LOGIN", "u", "p", false, "Username: Password:", "- u p", nil},
		{"LOGIN", "u", "p", false, "User|Name| Pass? more?", "- u p ! generic failure", nil},
		// RFC 2195 section 2.
		{"CRAM-MD5", "tim", "tanstaaftanstaaf", false, "<1896.697170952@postoffice.reston.mci.net>", "- tim,b913a602c7eda7a495b4e6e7334d3890", nil},
		{"CRAM-MD5", "tim", "x", false, "<1@x> again", "- tim,678a1ad7dc3ec2c974482de437127635 ! bad protocol / cancel", nil},
		{"XOAUTH2", "u", "token", false, "", "user=u\x01auth=Bearer,token\x01\x01", nil},
		{"XOAUTH2", "u", "token", false, `{"status":"401"}`, "user=u\x01auth=Bearer,token\x01\x01 ", ErrProtocol},
		{"OAUTHBEARER", "u,v=w", "token", false, "", "n,a=u=2Cv=3Dw,\x01auth=Bearer,token\x01\x01", nil},
		{"OAUTHBEARER", "u", "token", false, `{"status":"401"} again`, "n,a=u,\x01auth=Bearer,token\x01\x01 \x01 ! bad protocol / cancel", ErrProtocol},
	} {
		x, err := Choose([]string{c.mechanism}, Security{}, Credentials{User: c.user, Password: c.password, Authzid: c.authzid})
		if err != nil {
			t.Fatal(err)
		}
		_, first, err := x.Start()
		if err != nil {
			t.Fatal(err)
		}
		shown := func(b []byte) string { return strings.NewReplacer("\x00", "|", " ", ",").Replace(string(b)) }
		said := []string{shown(first)}
		if first == nil {
			said[0] = "-"
		}
		for _, challenge := range strings.Fields(c.challenges) {
			answer, err := x.Next([]byte(challenge))
			if err != nil {
				said = append(said, "!", err.Error())
				break
			}
			said = append(said, shown(answer))
		}
		if got := strings.Join(said, " "); got != c.responses {
			t.Errorf("%s: %q, want %q", c.mechanism, got, c.responses)
		}
		if err := x.Finish(); err != c.finish {
			t.Errorf("%s: finished with %v, want %v", c.mechanism, err, c.finish)
		}
	}
}

// SCRAM with a server of the library: both sides know the password, or one does not.
func TestScram(t *testing.T) {
	serve := func(password string, iterations int) func(string) (string, error) {
		client, err := scram.SHA256.NewClient("joe", password, "")
		if err != nil {
			t.Fatal(err)
		}
		stored := client.GetStoredCredentials(scram.KeyFactors{Salt: "salt-salt-salt", Iters: iterations})
		server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
		if err != nil {
			t.Fatal(err)
		}
		return server.NewConversation().Step
	}
	begin := func() (Client, string) {
		x, err := Choose([]string{"SCRAM-SHA-256"}, Security{}, Credentials{User: "joe", Password: "right"})
		if err != nil {
			t.Fatal(err)
		}
		_, first, err := x.Start()
		if err != nil {
			t.Fatal(err)
		}
		return x, string(first)
	}
	t.Run("right", func(t *testing.T) {
		x, first := begin()
		step := serve("right", 4096)
		for message := first; message != ""; {
			challenge, err := step(message)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := x.Next([]byte(challenge))
			if err != nil {
				t.Fatal(err)
			}
			message = string(answer)
		}
		if err := x.Finish(); err != nil {
			t.Error(err)
		}
	})
	t.Run("wrong", func(t *testing.T) {
		x, first := begin()
		step := serve("wrong", 4096)
		challenge, err := step(first)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := x.Next([]byte(challenge))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := step(string(answer)); err == nil {
			t.Error("the server takes a wrong password")
		}
		if err := x.Finish(); err != ErrMutual {
			t.Errorf("finished with %v", err)
		}
		if _, err := x.Next([]byte("v=bm8=")); err != ErrMutual {
			t.Errorf("a false signature: %v", err)
		}
	})
	for _, challenge := range []string{"", "r=x", "r=x,s=c2FsdA==,i=1000001", "r=x,s=c2FsdA==,i=99999999999999999999", "r=other,s=c2FsdA==,i=4096"} {
		x, _ := begin()
		if _, err := x.Next([]byte(challenge)); err != ErrProtocol {
			t.Errorf("%q: %v", challenge, err)
		}
	}
	x, err := Choose([]string{"SCRAM-SHA-1"}, Security{}, Credentials{User: "joe", Password: "a\x07b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Start(); err != ErrFailed {
		t.Errorf("a password with a control character: %v", err)
	}
}

// No challenge makes a client panic, or say the password in the clear where it must not.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{"<1@x>", "r=x,s=c2FsdA==,i=4096", "v=", "", "Username:"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, name := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"} {
			x, err := Choose([]string{name}, Security{}, Credentials{User: "joe", Password: "Secret-of-joe"})
			if err != nil {
				t.Fatal(err)
			}
			_, said, err := x.Start()
			if err != nil {
				t.Fatal(err)
			}
			for _, challenge := range []string{first, second} {
				answer, err := x.Next([]byte(challenge))
				said = append(said, answer...)
				if err != nil {
					said = append(said, err.Error()...)
				}
			}
			if strings.Contains(string(said), "Secret") {
				t.Errorf("%s says the password", name)
			}
			if strings.HasPrefix(name, "SCRAM") && x.Finish() == nil {
				t.Errorf("%s: a server without the password has proven itself", name)
			}
		}
	})
}
