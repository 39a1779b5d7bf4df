package permission

// Normal drops what says nothing new: duplicates, and what a wider permission of the same list covers. What
// is left keeps its order.
func Normal(permissions []Permission) []Permission {
	wide := make(map[kind][]Permission, len(permissions))
	for _, p := range permissions {
		if p.ID == "" {
			wide[p.kind()] = append(wide[p.kind()], p)
		}
	}
	seen := make(map[Permission]bool, len(permissions))
	normal := make([]Permission, 0, len(permissions))
	for _, p := range permissions {
		same := p
		same.Name, same.Place = "", Place{}
		if seen[same] || coveredByOther(wide[p.kind()], p) {
			continue
		}
		seen[same] = true
		normal = append(normal, p)
	}
	return normal
}

// coveredByOther reports whether a permission other than p itself covers p.
func coveredByOther(wide []Permission, p Permission) bool {
	for _, w := range wide {
		if w.covers(p) && (w.ID != p.ID || w.OrgID != p.OrgID) {
			return true
		}
	}
	return false
}
