package table

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// socketmap asks a server by the protocol of socketmap_table(5): requests and replies
// are netstrings.
//
//	socketmap:inet:host:port:name  socketmap:unix:pathname:name
type socketmap struct {
	remote
	name, mapName string
	o             Options
}

const (
	remoteTimeout     = 100 * time.Second
	maxSocketmapReply = 100_000
)

func openSocketmap(argument string, o Options) (Table, error) {
	kind, rest, _ := strings.Cut(argument, ":")
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 || i == len(rest)-1 {
		return nil, fmt.Errorf("socketmap requires server:socketmap argument: socketmap:inet:host:port:name or socketmap:unix:pathname:name")
	}
	o.NoFold = true // as with patterns, the server decides about case
	t := &socketmap{name: "socketmap:" + argument, mapName: rest[i+1:], o: o}
	t.timeout = remoteTimeout
	switch address := rest[:i]; kind {
	case "unix":
		t.network, t.address = "unix", address
	case "inet":
		var err error
		t.network = "tcp"
		if t.address, err = hostPort(address); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	default:
		return nil, fmt.Errorf(`invalid socketmap server name "%s": need inet: or unix:`, kind)
	}
	return Cached(t, o), nil
}

// hostPort reads host:port, or a port alone, of this machine.
func hostPort(s string) (string, error) {
	host, port, ok := cutLast(s, ":")
	if !ok {
		host, port = "localhost", s
	}
	host = strings.Trim(host, "[]")
	if host == "" || port == "" {
		return "", fmt.Errorf(`bad server address "%s": need host:port`, s)
	}
	return net.JoinHostPort(host, port), nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (t *socketmap) Lookup(ctx context.Context, key string) (string, bool, error) {
	key, ok := t.o.lookupKey(t.name, key)
	if !ok {
		return "", false, nil
	}
	text := t.mapName + " " + key
	reply, err := t.ask(ctx, []byte(strconv.Itoa(len(text))+":"+text+","), readNetstring)
	if err != nil {
		return "", false, fmt.Errorf("server %s: %w", t.address, err)
	}
	status, value, _ := strings.Cut(reply, " ")
	switch status {
	case "OK":
		err := t.o.checkValue(t.name, key, value)
		return value, err == nil, err
	case "NOTFOUND":
		return "", false, nil
	case "TEMP", "TIMEOUT", "PERM":
		return "", false, fmt.Errorf("server %s: %s: %s", t.address, status, value)
	}
	return "", false, fmt.Errorf(`server %s: unexpected reply "%.100s"`, t.address, reply)
}

var errNetstring = errors.New("the reply is not a netstring of at most 100000 bytes")

func readNetstring(r *bufio.Reader) (string, error) {
	size := 0
	for i := 0; ; i++ {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return "", noEOF(err)
		case c == ':' && i > 0:
		case c < '0' || '9' < c || i > 6:
			return "", errNetstring
		default:
			size = size*10 + int(c-'0')
			continue
		}
		break
	}
	if size > maxSocketmapReply {
		return "", errNetstring
	}
	buf := make([]byte, size+1)
	if _, err := io.ReadFull(r, buf); err != nil {
		return "", noEOF(err)
	}
	if buf[size] != ',' {
		return "", errNetstring
	}
	return string(buf[:size]), nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("lost connection")
	}
	return err
}

func (t *socketmap) Name() string { return t.name }

func (t *socketmap) Close() error {
	t.close()
	return nil
}
