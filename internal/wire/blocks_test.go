package wire

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// What was collected and the blocks after it arrive in order, whatever their sizes, over
// a connection that can send several pieces at once and over one that cannot.
func TestBlocks(t *testing.T) {
	for _, network := range []string{"tcp", "pipe"} {
		for _, sizes := range [][]int{{}, {1}, {bufferSize}, {bufferSize + 1}, {100, bufferSize, 100, 3 * bufferSize, 5}, {bufferSize - 1, 2, bufferSize}} {
			near, far := net.Pipe()
			if network == "tcp" {
				near, far = tcpConns(t)
			}
			got := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(far)
				got <- b
			}()
			c := NewConn(near, time.Minute)
			want := "MAIL\r\n"
			c.WriteString(want)
			for i, n := range sizes {
				block := bytes.Repeat([]byte{byte('a' + i)}, n)
				want += string(block) + ".x"
				if k, err := c.Blocks().Write(block); k != n || err != nil {
					t.Fatalf("%s %v: wrote %d, %v", network, sizes, k, err)
				}
				c.Blocks().WriteByte('.')
				c.Blocks().WriteString("x")
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			c.Close()
			if b := <-got; string(b) != want {
				t.Errorf("%s %v: %d bytes arrived, want %d", network, sizes, len(b), len(want))
			}
			far.Close()
		}
	}
}

// A write that fails is final, with a block as without.
func TestBlocksAfterAnError(t *testing.T) {
	near, far := tcpConns(t)
	far.Close()
	c := NewConn(near, time.Minute)
	near.Close()
	c.WriteString("MAIL\r\n")
	if _, err := c.Blocks().Write(make([]byte, 2*bufferSize)); err == nil || c.Err() == nil {
		t.Error("no error")
	}
	if _, err := c.Blocks().Write([]byte(strings.Repeat("x", 2*bufferSize))); err == nil {
		t.Error("the second write has no error")
	}
}

func tcpConns(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
