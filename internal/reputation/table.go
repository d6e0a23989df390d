package reputation

import (
	"cmp"
	"slices"
	"strings"
)

// Row is what the last 30 days were for an alias, or for a domain that mail went to.
type Row struct {
	Kind string `json:"kind"` // alias or destination
	Name string `json:"name"`

	In         uint32 `json:"in"`
	Delivered  uint32 `json:"delivered"`
	Refused    uint32 `json:"refused"`
	Policy     uint32 `json:"policy"`
	Complaints uint32 `json:"complaints"`
	Returned   uint32 `json:"returned"`
	// Rate is complaints for each message delivered; 0 where none was.
	Rate float64 `json:"complaint_rate"`
	// Today are today's complaints, which alias_complaint_limit is about.
	Today uint32 `json:"complaints_today"`
}

// Table is what is known: of all aliases, of one, or of those in a domain, and of the
// destinations: all, or the domain. Those with the most complaints come first.
func (b *Book) Table(about string) []Row {
	p := b.params.Load()
	about = strings.ToLower(about)
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.Enabled {
		b.load()
	}
	today := dayOf(b.o.Now())
	list := []Row{}
	for _, l := range []struct {
		kind string
		*ledger
	}{{"alias", &b.aliases}, {"destination", &b.domains}} {
		for key, r := range l.rows {
			if about != "" && key != about && !(l.kind == "alias" && strings.HasSuffix(key, "@"+about)) {
				continue
			}
			c := r.total(today)
			if c == (Counts{}) {
				continue
			}
			row := Row{Kind: l.kind, Name: key, In: c.In, Delivered: c.Delivered, Refused: c.Refused, Policy: c.Policy,
				Complaints: c.Complaints, Returned: c.Returned}
			if c.Delivered > 0 {
				row.Rate = float64(c.Complaints) / float64(c.Delivered)
			}
			if now := l.find(key, today); now != nil {
				row.Today = now.Complaints
			}
			list = append(list, row)
		}
	}
	slices.SortFunc(list, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Complaints, a.Complaints), cmp.Compare(b.Policy, a.Policy),
			cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.In, a.In), cmp.Compare(a.Name, b.Name))
	})
	return list
}
