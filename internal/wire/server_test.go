package wire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadCommand(t *testing.T) {
	const max = 40
	for _, tt := range []struct {
		name, in string
		want     Line
		text     string
	}{
		{name: "CRLF", in: "NOOP\r\n", text: "NOOP"},
		{name: "LF", in: "NOOP\n", text: "NOOP", want: Line{BareLF: true}},
		{name: "empty", in: "\r\n"},
		{name: "empty, LF", in: "\n", want: Line{BareLF: true}},
		{name: "CR CRLF", in: "a\r\r\n", text: "a\r"},
		{name: "just right", in: strings.Repeat("x", max) + "\r\n", text: strings.Repeat("x", max)},
		{name: "one too many", in: strings.Repeat("x", max+1) + "\r\n", text: strings.Repeat("x", max), want: Line{Cut: true}},
		{name: "far too many", in: strings.Repeat("x", 1000) + "\n", text: strings.Repeat("x", max), want: Line{Cut: true, BareLF: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, buffer := range []int{16, 64, bufferSize} {
				for size := 1; size <= 50; size++ {
					c := &Conn{r: bufio.NewReaderSize(&pieces{tt.in + "QUIT\r\n", size}, buffer)}
					got, err := c.ReadCommand(max)
					if err != nil || string(got.Text) != tt.text || got.Cut != tt.want.Cut || got.BareLF != tt.want.BareLF {
						t.Fatalf("buffer %d, pieces of %d: %q %+v, %v", buffer, size, got.Text, got, err)
					}
					if next, err := c.ReadCommand(max); string(next.Text) != "QUIT" || err != nil {
						t.Fatalf("buffer %d, pieces of %d: next %q, %v", buffer, size, next.Text, err)
					}
					if _, err := c.ReadCommand(max); err != io.EOF {
						t.Fatalf("at the end: %v", err)
					}
				}
			}
		})
	}
	c := &Conn{r: bufio.NewReaderSize(strings.NewReader("NOO"), 16)}
	if _, err := c.ReadCommand(max); err != io.ErrUnexpectedEOF {
		t.Errorf("half a line: %v", err)
	}
	c = &Conn{r: bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", 100)), 16)}
	if _, err := c.ReadCommand(max); err != io.ErrUnexpectedEOF {
		t.Errorf("half a long line: %v", err)
	}
}

// What comes while a connection waits without buffers is all there afterwards, also
// when it is more than Await takes at once.
func TestAwait(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := NewPooledConn(server, time.Minute, NewBuffers())
	defer c.Release()
	long := strings.Repeat("y", 3000)
	go func() {
		io.WriteString(client, "NOOP\r\nRSET\r\n")
		io.WriteString(client, long+"\r\n")
	}()
	for _, want := range []string{"NOOP", "RSET", long} {
		if err := c.Await(); err != nil {
			t.Fatal(err)
		}
		if !c.Pending() {
			t.Error("nothing pending after Await")
		}
		if l, err := c.ReadCommand(4096); err != nil || string(l.Text) != want {
			t.Fatalf("%q, %v; want %q", l.Text, err, want)
		}
	}
}

func TestInterrupt(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := NewPooledConn(server, time.Hour, NewBuffers())
	go c.Interrupt()
	if err := c.Await(); err != ErrInterrupted {
		t.Errorf("Await: %v", err)
	}
	if _, err := c.ReadCommand(100); err != ErrInterrupted {
		t.Errorf("the next read: %v", err)
	}
	// There is something left to say, and it can be said.
	said := make(chan string)
	go func() { b, _ := io.ReadAll(client); said <- string(b) }()
	c.WriteString("421 bye\r\n")
	if err := c.Farewell(); err != nil {
		t.Error(err)
	}
	c.Release()
	if got := <-said; got != "421 bye\r\n" {
		t.Errorf("said %q", got)
	}
	if _, err := c.ReadCommand(100); err == nil {
		t.Error("reading goes on after Release")
	}
}

// A byte now and then does not keep a command open for longer than its budget.
func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		name    string
		minRate int
		every   time.Duration
		want    time.Duration // when the reader gives up; 0: never
	}{
		{"a byte a second", 0, time.Second, 30750 * time.Millisecond},
		{"a byte a second is slower than the rate", 2, time.Second, 60750 * time.Millisecond},
		{"as fast as the rate", 1, time.Second, 0},
		{"faster", 1, time.Second / 4, 0},
		{"silence", 100, time.Hour, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				done := make(chan struct{})
				go func() {
					defer close(done)
					tick := time.NewTicker(tt.every)
					defer tick.Stop()
					for range 300 {
						<-tick.C
						if _, err := client.Write([]byte("x")); err != nil {
							return
						}
					}
					client.Close()
				}()
				start := time.Now()
				c := NewConn(server, 20*time.Second)
				c.SetBudget(30750*time.Millisecond, tt.minRate)
				_, err := io.Copy(io.Discard, c.Reader())
				took := time.Since(start)
				server.Close()
				<-done
				if tt.want == 0 {
					if err != nil {
						t.Errorf("after %v: %v", took, err)
					}
					return
				}
				if !IsTimeout(err) || took != tt.want {
					t.Errorf("after %v: %v; want a time-out after %v", took, err, tt.want)
				}
				if c.NoBudget(); c.Err() == nil || !errors.Is(c.Err(), err) {
					t.Errorf("the error does not stick: %v", c.Err())
				}
			})
		})
	}
}

// Pending sees what the kernel holds and nobody has read.
func TestPending(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c := NewConn(server, time.Minute)
	if c.Pending() {
		t.Error("something pending before anything was sent")
	}
	io.WriteString(client, "EHLO x\r\n")
	if _, err := c.Reader().Peek(1); err != nil {
		t.Fatal(err)
	}
	c.ReadLine(100)
	if c.Pending() {
		t.Error("something pending after all was read")
	}
	io.WriteString(client, "MAIL\r\n")
	for deadline := time.Now().Add(10 * time.Second); !c.Pending(); {
		if time.Now().After(deadline) {
			t.Fatal("nothing pending after more was sent")
		}
	}
	if c.Buffered() != 0 {
		t.Error("Pending has read something")
	}
}

// A step that is done elsewhere ends as it would have here.
func TestElsewhere(t *testing.T) {
	if err := elsewhere(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("%v", err)
	}
	defer func() {
		if why := recover(); why != "out of order" {
			t.Errorf("recovered %v", why)
		}
	}()
	elsewhere(func() error { panic("out of order") })
	t.Error("the panic is gone")
}
