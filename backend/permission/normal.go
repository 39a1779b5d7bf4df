package permission

import "slices"

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
