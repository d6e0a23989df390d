package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"strconv"

	"aliasmx/internal/mail"
)

// connect reaches the milter and agrees with it on the protocol. What fails makes
// the standing reply.
func (c *client) connect() {
	if c.Network == "" {
		c.misconfigured("bad Milter service")
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.ConnectTimeout)
	defer cancel()
	dial := c.cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, c.Network, c.Address)
	if err != nil {
		c.log.Warn("connect to Milter service " + c.Name + ": " + reason(err))
		c.giveUp("550 5.5.0 Service unavailable", "451 4.7.1 Service unavailable - try again later")
		return
	}
	c.conn, c.r, c.w = conn, bufio.NewReader(conn), bufio.NewWriterSize(conn, 8<<10)
	c.leave = context.AfterFunc(c.ctx, func() { conn.Close() })
	c.negotiate()
}

// offered are the events and options of the protocol as we speak it with this milter.
func (m *Milter) offered() uint32 {
	events := map[uint32]uint32{2: protocol2, 3: protocol3, 4: protocol4, 6: protocol6}[m.Protocol.Version]
	if m.Protocol.NoHeaderReply {
		events |= quietHeader
	}
	return events
}

func (c *client) negotiate() {
	const failed = "read error in initial handshake"
	offered := c.offered()
	c.absent = noEvents &^ offered
	c.arm(false, c.cfg.now().Add(c.CommandTimeout))
	hello := binary.BigEndian.AppendUint32(nil, c.Protocol.Version)
	hello = binary.BigEndian.AppendUint32(hello, allActions)
	hello = binary.BigEndian.AppendUint32(hello, offered)
	writePacket(c.w, cmdOptions, hello)
	if c.flush(); c.state == stateError {
		c.warn("write error in initial handshake")
		return
	}
	code, n, err := readHead(c.r, cmdOptions)
	if err != nil {
		c.broken(err.Error())
		c.warn(failed)
		return
	}
	if code != cmdOptions {
		c.broken("unexpected reply \"" + printable(string(rune(code))) + "\" in initial handshake")
		return
	}
	data, err := readData(c.r, n)
	if err != nil {
		c.broken(err.Error())
		c.warn(failed)
		return
	}
	c.agree(data)
}

// agree takes what the milter answered: its version, what it will modify, what it wants to
// hear, and then, for stages of its choice, the names of macros.
func (c *client) agree(data []byte) {
	var version, actions uint32
	var err error
	for _, n := range []*uint32{&version, &actions, &c.unwanted} {
		if *n, data, err = cutLong(data); err != nil {
			c.broken(err.Error())
			c.warn("read error in initial handshake")
			return
		}
	}
	switch {
	case version > c.Protocol.Version:
		c.broken("protocol version " + itoa(int(version)) + " conflict with MTA protocol version " + itoa(int(c.Protocol.Version)))
		return
	case actions&^allActions != 0:
		c.broken("request mask 0x" + strconv.FormatUint(uint64(actions), 16) + " conflict with MTA request mask 0x" + strconv.FormatUint(allActions, 16))
		return
	case version < c.Protocol.Version:
		// An older milter is not told what its version does not have.
		switch {
		case version >= 6:
		case version >= 4:
			c.absent |= noEvents &^ protocol4
		case version >= 3:
			c.absent |= noEvents &^ protocol3
		case version >= 2:
			c.absent |= noEvents &^ protocol2
		default:
			c.warn("unexpected protocol version " + itoa(int(version)))
		}
	}
	for len(data) > 0 {
		var stage uint32
		var names string
		if stage, data, err = cutLong(data); err == nil {
			names, data, err = cutString(data)
		}
		if err != nil {
			c.broken(err.Error())
			return
		}
		if stage >= numMacroLists {
			c.warn("ignoring unknown macro type " + itoa(int(stage)))
			continue
		}
		c.lists[stage] = splitNames(names)
	}
	c.state, c.standing, c.skipping = stateReady, mail.MilterReply{}, 0
}

func itoa(n int) string { return strconv.Itoa(n) }
