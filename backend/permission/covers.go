package permission

import (
	"cmp"
	"slices"
)

// String says a permission as InfluxDB does in its errors: write:orgs/<org>/buckets/<id>, read:users/<id>,
// write:tasks (in every organization).
func (p Permission) String() string {
	text := p.Type
	if p.OrgID != "" {
		text = "orgs/" + p.OrgID + "/" + text
	}
	if p.ID != "" {
		text += "/" + p.ID
	}
	return p.Action + ":" + text
}

// Words says a permission so that people can read it: write:buckets/metrics in org acme.
func (p Permission) Words(scope Scope) string {
	text := p.Action + ":" + p.Type
	if label := p.label(); label != "" {
		text += "/" + label
	}
	switch {
	case p.global():
		text += " in every organization"
	case p.OrgID == "":
	case p.OrgID == scope.OrgID:
		text += " in org " + scope.label()
	default:
		text += " in org " + p.OrgID
	}
	return text
}

func (s Scope) label() string { return cmp.Or(s.OrgName, s.OrgID) }

// global reports whether a permission is for every organization.
func (p Permission) global() bool { return p.ID == "" && p.OrgID == "" }

// covers reports whether a token that holds p can do all that q allows. It is InfluxDB's own rule (authz.go of
// 2.9.1, matchesV1) without its hole: there an ID matches whatever its organization.
func (p Permission) covers(q Permission) bool {
	if p.Action != q.Action || p.Type != q.Type {
		return false
	}
	switch {
	case p.global():
		return true
	case p.ID == "":
		return p.OrgID == q.OrgID
	}
	return p.ID == q.ID && (p.OrgID == "" || p.OrgID == q.OrgID)
}

// kind is what two permissions have to share before one can cover the other.
type kind struct{ action, resourceType string }

func (p Permission) kind() kind { return kind{p.Action, p.Type} }

// Missing lists what of wanted is not covered by held, in wanted's order.
func Missing(held, wanted []Permission) []Permission {
	byKind := make(map[kind][]Permission, len(held))
	for _, p := range held {
		byKind[p.kind()] = append(byKind[p.kind()], p)
	}
	var missing []Permission
	for _, q := range wanted {
		if !slices.ContainsFunc(byKind[q.kind()], func(p Permission) bool { return p.covers(q) }) {
			missing = append(missing, q)
		}
	}
	return missing
}

// Normal drops what says nothing new: duplicates, and what a wider permission of the same list covers. What
// is left keeps its order.
func Normal(permissions []Permission) []Permission {
	var wide map[kind][]Permission // those for all of a type; few roles have both them and single resources
	for i := range permissions {
		if p := &permissions[i]; p.ID == "" {
			if wide == nil {
				wide = map[kind][]Permission{}
			}
			wide[p.kind()] = append(wide[p.kind()], *p)
		}
	}
	seen := make(map[grantKey]struct{}, len(permissions))
	normal := make([]Permission, 0, len(permissions))
	for i := range permissions {
		p := &permissions[i]
		key := grantKey{p.ID, p.kind(), p.OrgID}
		if _, known := seen[key]; known || wide != nil && coveredByOther(wide[p.kind()], p) {
			continue
		}
		seen[key] = struct{}{}
		normal = append(normal, *p)
	}
	return normal
}

// grantKey is all of a permission that InfluxDB is sent.
type grantKey struct {
	id    string
	kind  kind
	orgID string
}

// coveredByOther reports whether a permission other than p itself covers p.
func coveredByOther(wide []Permission, p *Permission) bool {
	return slices.ContainsFunc(wide, func(w Permission) bool { return w.covers(*p) && (w.ID != p.ID || w.OrgID != p.OrgID) })
}
