//go:build !unix

package wire

// Pending tells whether the peer has sent anything that nobody has read yet.
func (c *Conn) Pending() bool { return c.r.Buffered() > 0 }

type kernelSide struct{}

// Left: nobody can say.
func (c *Conn) Left() bool { return false }

// Moved is Pending.
func (c *Conn) Moved() bool { return c.Pending() }
