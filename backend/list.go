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
	var (
		after string
		limit int
	)
	f := fields{data}
	f.text("after", &after)
	f.number("limit", &limit)
	sort.Strings(names)
	if after != "" {
		names = names[sort.Search(len(names), func(i int) bool { return names[i] > after }):]
	}
	if limit > 0 && limit < len(names) {
		names = names[:limit]
	}
	return names
}
