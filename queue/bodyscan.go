package queue

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"aliasmx/internal/mail"
)

// maxLine is the longest line without CRLF that SMTP carries (RFC 5321 section
// 4.5.3.1.6: 1000 octets with CRLF).
const maxLine = 998

// castagnoli is CRC32C, which processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BodyScan notes what a store keeps about a body from the bytes as they pass: size,
// CRC32C, and the flags that tell a client whether it has to stuff dots, has to put line
// ends right, or may send the bytes as they are. The zero value is ready; writes never fail.
//
// Lines end at LF, whether or not a CR stands before it. A bare LF should not be in a
// body at all; if it is, the flags err on the side of care.
type BodyScan struct {
	size   int64
	crc    uint32
	flags  mail.Flags
	line   int  // octets of the line under way, CR included
	lastCR bool // the line under way ends in CR so far

	crs, pairs int64 // CRs, and those that an LF follows
	stray      bool  // there was an LF without CR
}

// Write takes the next bytes of the body.
func (b *BodyScan) Write(p []byte) (int, error) {
	b.size += int64(len(p))
	b.crc = crc32.Update(b.crc, castagnoli, p)
	if b.flags&mail.FlagEightBit == 0 && hasEightBit(p) {
		b.flags |= mail.FlagEightBit
	}
	n := len(p)
	b.crs += int64(bytes.Count(p, []byte{'\r'}))
	for len(p) > 0 {
		if b.line == 0 && p[0] == '.' {
			b.flags |= mail.FlagDotLines
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			b.line += len(p)
			b.lastCR = p[len(p)-1] == '\r'
			break
		}
		if end > 0 {
			b.lastCR = p[end-1] == '\r'
		}
		if b.lastCR {
			b.pairs++
		} else {
			b.stray = true
		}
		b.endLine(b.line + end)
		p = p[end+1:]
	}
	return n, nil
}

func (b *BodyScan) endLine(length int) {
	if b.lastCR {
		length--
	}
	if length > maxLine {
		b.flags |= mail.FlagLongLines
	}
	b.line, b.lastCR = 0, false
}

// Size is the number of bytes so far.
func (b *BodyScan) Size() int64 { return b.size }

// Fill sets what was found in an envelope.
func (b *BodyScan) Fill(env *mail.Envelope) {
	last := *b
	if last.stray || last.crs != last.pairs || last.line > 0 {
		last.flags |= mail.FlagStrayEnds
	}
	last.endLine(last.line)
	env.Size, env.CRC = last.size, last.crc
	env.Flags |= last.flags
}

func hasEightBit(p []byte) bool {
	for len(p) >= 8 {
		if binary.LittleEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
		p = p[8:]
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
