package main

import (
	"bufio"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// The table of qshape(1): a row for each domain, a column for each stretch of ages.
// Column 0 is the sum of the others.

type shape struct {
	buckets  int  // columns of ages
	tick     int  // minutes of the first
	linear   bool // all as wide as the first; else each is as wide as all before it
	bySender bool // else by recipient
	byHop    bool // by next hop
	parents  bool // rows for parent domains, too
	minSub   int  // of those with so many subdomains
	width    int  // of the terminal
	top      int  // rows to print; 0: all

	now      time.Time
	messages int
	total    shapeRow
	rows     map[string]*shapeRow
}

type shapeRow struct {
	n    []int
	subs int // subdomains of a parent
}

func (r *shapeRow) add(bucket, buckets int) {
	if r.n == nil {
		r.n = make([]int, buckets+1)
	}
	r.n[0]++
	r.n[bucket]++
}

// add counts a message: once for its sender, or once for each recipient.
func (s *shape) add(m *mail.Listed) {
	s.messages++
	b := s.bucket(m.Arrived)
	if s.bySender {
		s.count(qshapeDomain(m.Sender.String()), b)
		return
	}
	for i := range m.Rcpts {
		r := &m.Rcpts[i]
		name := qshapeDomain(r.Address.String())
		if s.byHop {
			name = strings.ToLower(cmp.Or(r.Dest.NextHop(), string(r.Dest), "(unknown)"))
		}
		s.count(name, b)
	}
}

// bucket is the column of an age, in whole seconds as qshape has it.
func (s *shape) bucket(arrived time.Time) int {
	age := float64(s.now.Unix()-arrived.Unix()) / float64(60*s.tick)
	if age < 1 {
		return 1
	}
	if s.linear {
		return min(int(min(age+1, 1e9)), s.buckets)
	}
	return min(2+int(math.Log2(age)), s.buckets)
}

func (s *shape) count(name string, b int) {
	s.total.add(b, s.buckets)
	fresh := false // the domain below was new
	for {
		r := s.rows[name]
		if r == nil {
			r = &shapeRow{}
			s.rows[strings.Clone(name)] = r
		}
		r.add(b, s.buckets)
		if fresh {
			r.subs++
		}
		fresh = r.n[0] == 1
		parent, ok := parentOf(name)
		if !s.parents || !ok {
			return
		}
		name = parent
	}
}

// parentOf is the parent of a domain, with a dot in front; a top-level domain is none.
func parentOf(name string) (string, bool) {
	name = strings.TrimPrefix(name, ".")
	label, rest, _ := strings.Cut(name, ".")
	if label == "" || !strings.Contains(rest, ".") {
		return "", false
	}
	return "." + rest, true
}

// print prints the table as qshape does: the widest row of numbers is the sum's.
func (s *shape) print(out *bufio.Writer) {
	if s.total.n == nil {
		s.total.n = make([]int, s.buckets+1)
	}
	widths := make([]int, s.buckets+1)
	dw := s.width
	var heads strings.Builder
	t := 0
	for i := range widths {
		head := "T"
		switch {
		case i == 0:
		case i == s.buckets:
			head = fmt.Sprintf("%d+", t)
		default:
			if t > 0 && !s.linear {
				t += t
			} else {
				t += s.tick
			}
			head = fmt.Sprint(t)
		}
		widths[i] = max(len(fmt.Sprint(s.total.n[i])), len(head), 2) + 1
		dw -= widths[i]
		fmt.Fprintf(&heads, "%*s", widths[i], head)
	}
	dw = max(dw, 18)
	fmt.Fprintf(out, "%*s%s\n", dw, "", &heads)
	for i, row := range s.sorted() {
		if s.top > 0 && i >= s.top {
			break
		}
		fmt.Fprintf(out, "%s", shapeName(printable(row.name), dw))
		for i, n := range row.n {
			fmt.Fprintf(out, "%*d", widths[i], n)
		}
		out.WriteByte('\n')
	}
}

type namedRow struct {
	name string
	*shapeRow
}

// sorted are the rows to show, the sum among them, the largest first.
func (s *shape) sorted() []namedRow {
	rows := []namedRow{{"TOTAL", &s.total}}
	for name, r := range s.rows {
		if name[0] != '.' || r.subs >= s.minSub {
			rows = append(rows, namedRow{name, r})
		}
	}
	slices.SortFunc(rows[1:], func(a, b namedRow) int { return strings.Compare(a.name, b.name) })
	slices.SortStableFunc(rows, func(a, b namedRow) int {
		return cmp.Or(cmp.Compare(b.n[0], a.n[0]), cmp.Compare(len(a.name), len(b.name)))
	})
	return rows
}

// shapeName is a name in a column; of one that is too long the end is shown.
func shapeName(name string, width int) string {
	switch {
	case len(name) <= width:
		return strings.Repeat(" ", width-len(name)) + name
	case name[0] == '.':
		return ".+" + name[len(name)-width+2:]
	}
	return "+" + name[len(name)-width+1:]
}
