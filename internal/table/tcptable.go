package table

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
)

// tcpTable asks a server by the protocol of tcp_table(5): one line each way.
type tcpTable struct {
	remote
	name string
	o    Options
}

// maxTCPReply is how long a reply may be, with its newline.
const maxTCPReply = 4096

func openTCP(argument string, o Options) (Table, error) {
	address, err := hostPort(argument)
	if err != nil {
		return nil, fmt.Errorf("tcp:%s: %w", argument, err)
	}
	o.NoFold = true // as with patterns, the server decides about case
	return Cached(&tcpTable{
		remote: remote{network: "tcp", address: address, timeout: remoteTimeout},
		name:   "tcp:" + argument, o: o,
	}, o), nil
}

func (t *tcpTable) Lookup(ctx context.Context, key string) (string, bool, error) {
	key, ok := t.o.lookupKey(t.name, key)
	if !ok {
		return "", false, nil
	}
	reply, err := t.ask(ctx, []byte("get "+quoteTCP(key)+"\n"), readTCPLine)
	if err != nil {
		return "", false, fmt.Errorf("TCP map %s: %w", t.address, err)
	}
	code, text, spaced := strings.Cut(reply, " ")
	text, valid := unquoteTCP(text)
	switch {
	case !spaced || !valid:
	case code == "200":
		err := t.o.checkValue(t.name, key, text)
		return text, err == nil, err
	case code == "500":
		return "", false, nil
	case code == "400":
		return "", false, fmt.Errorf("TCP map %s: %s", t.address, text)
	}
	return "", false, fmt.Errorf(`TCP map %s: bad reply "%.100s"`, t.address, reply)
}

func readTCPLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("reply of more than %d bytes", maxTCPReply)
	case err != nil:
		return "", noEOF(err)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// quoteTCP writes %, white space and what cannot be printed as %XX.
func quoteTCP(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func unquoteTCP(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", false
		}
		b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		i += 2
	}
	return b.String(), true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func (t *tcpTable) Name() string { return t.name }

func (t *tcpTable) Close() error {
	t.close()
	return nil
}
