package wire

import "net"

// Blocks is a connection as a writer of content: a large block leaves without being
// copied, together with what waits before it (writev(2)). Small ones are collected as
// everything else is. A Blocks is a Conn seen from another side; there is nothing to make.
type Blocks Conn

// Blocks gives the connection for content to be written to.
func (c *Conn) Blocks() *Blocks { return (*Blocks)(c) }

// Write sends a block, or collects it if it is small.
func (b *Blocks) Write(p []byte) (int, error) {
	c := (*Conn)(b)
	// TLS has to copy whatever it sends, and a block alone is not copied by the writer.
	if _, ok := c.nc.(*net.TCPConn); !ok || c.w.Buffered() == 0 || len(p) <= c.w.Available() {
		return c.w.Write(p)
	}
	c.block = p
	err := c.w.Flush()
	c.block = nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteByte collects a byte.
func (b *Blocks) WriteByte(c byte) error { return b.w.WriteByte(c) }

// WriteString collects a string.
func (b *Blocks) WriteString(s string) (int, error) { return b.w.WriteString(s) }

// writeWith sends what was collected and the block after it. The count is of the former
// alone: the writer that it goes back to knows nothing of the block.
func (c *Conn) writeWith(p []byte) (int, error) {
	c.pair[0], c.pair[1] = p, c.block
	c.vector = c.pair[:]
	_, err := c.vector.WriteTo(c.nc)
	c.pair[0], c.pair[1] = nil, nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
