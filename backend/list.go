package backend

import (
	"sort"

	"github.com/hashicorp/vault/sdk/framework"
)

// listFields are the parameters of every LIST.
var listFields = map[string]*framework.FieldSchema{
	"after": {Type: framework.TypeString, Query: true, Description: "Give the names that sort behind this one."},
	"limit": {Type: framework.TypeInt, Query: true, Description: "Give at most so many names; 0 means all."},
}

var listAnswer = map[string]*framework.FieldSchema{
	"keys": {Type: framework.TypeStringSlice, Description: "The names, sorted."},
}

// page is the part of a list that a request asks for.
func page(names []string, data *framework.FieldData) []string {
	p := newPager(data, nil)
	for _, name := range names {
		p.add(name)
	}
	return p.page()
}

// pager gathers a page while a list comes by: no more of it than twice the page.
type pager struct {
	after   string
	limit   int
	names   []string
	dropped func(name string)
}

// newPager calls dropped, if given, with each name that was added and is not of the page.
func newPager(data *framework.FieldData, dropped func(name string)) *pager {
	p := &pager{dropped: dropped}
	f := fields{data}
	f.text("after", &p.after)
	f.number("limit", &p.limit)
	return p
}

// add reports whether the name may be of the page.
func (p *pager) add(name string) bool {
	if name <= p.after {
		return false
	}
	p.names = append(p.names, name)
	if p.limit > 0 && len(p.names)/2 >= p.limit {
		p.page()
	}
	return true
}

// page is what was added so far of the page, sorted.
func (p *pager) page() []string {
	sort.Strings(p.names)
	if p.limit > 0 && p.limit < len(p.names) {
		for _, name := range p.names[p.limit:] {
			if p.dropped != nil {
				p.dropped(name)
			}
		}
		p.names = p.names[:p.limit]
	}
	return p.names
}
