package peers

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
)

// Dovecot is the auth service of Dovecot as mail servers ask it (version 1 of its client
// protocol), with PLAIN and LOGIN. Everybody's password is "secret"; the user "trouble"
// cannot be looked up.
type Dovecot struct{ ln net.Listener }

// NewDovecot serves on loopback.
func NewDovecot() (*Dovecot, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &Dovecot{ln: ln}
	go func() { // ends with Stop
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go d.serve(nc)
		}
	}()
	return d, nil
}

// Addr is where it listens.
func (d *Dovecot) Addr() string { return d.ln.Addr().String() }

// Stop closes the port.
func (d *Dovecot) Stop() { d.ln.Close() }

// exchange is one attempt to log in.
type exchange struct{ mechanism, user string }

func (d *Dovecot) serve(nc net.Conn) {
	defer nc.Close()
	fmt.Fprint(nc, "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef0123456789abcdef\nDONE\n")
	attempts := make(map[string]*exchange)
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case words[0] == "AUTH" && len(words) > 2:
			x := &exchange{mechanism: strings.ToUpper(words[2])}
			attempts[words[1]] = x
			response, initial := "", false
			for _, w := range words[3:] {
				if v, ok := strings.CutPrefix(w, "resp="); ok {
					response, initial = v, true
				}
			}
			fmt.Fprint(nc, x.next(words[1], response, initial, "initial"))
		case words[0] == "CONT" && len(words) == 3 && attempts[words[1]] != nil:
			fmt.Fprint(nc, attempts[words[1]].next(words[1], words[2], true, "continued"))
		}
	}
}

// next is the answer to a response of the client, or to none.
func (x *exchange) next(id, response string, given bool, which string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(response, "=")) // "=" alone is an empty one
	switch {
	case err != nil:
		return "FAIL\t" + id + "\treason=Invalid base64 data in " + which + " response\n"
	case x.mechanism == "PLAIN" && !given:
		return "CONT\t" + id + "\t\n"
	case x.mechanism == "PLAIN":
		parts := strings.Split(string(raw), "\x00")
		if len(parts) != 3 {
			return "FAIL\t" + id + "\treason=invalid input\n"
		}
		return x.judge(id, parts[1], parts[2])
	case x.mechanism != "LOGIN":
		return "FAIL\t" + id + "\treason=Unsupported authentication mechanism\n"
	case !given:
		return "CONT\t" + id + "\t" + base64.StdEncoding.EncodeToString([]byte("Username:")) + "\n"
	case x.user == "":
		x.user = string(raw)
		return "CONT\t" + id + "\t" + base64.StdEncoding.EncodeToString([]byte("Password:")) + "\n"
	}
	return x.judge(id, x.user, string(raw))
}

func (x *exchange) judge(id, user, password string) string {
	switch {
	case user == "trouble":
		return "FAIL\t" + id + "\tuser=" + user + "\ttemp\n"
	case password != "secret":
		return "FAIL\t" + id + "\tuser=" + user + "\treason=authentication failure\n"
	}
	return "OK\t" + id + "\tuser=" + user + "\n"
}
