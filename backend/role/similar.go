package role

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
)

// suggesting is a permission.Directory that looks for similar names where one is not found.
type suggesting struct {
	*connection.Names
	client  *influx.Client
	buckets []influx.Bucket
	// searches counts the names that look-alikes were searched for.
	searches int
}

// For how many names look-alikes are searched and among how many buckets, how many are named, and how long a name may
// be: each comparison takes time by the square of it.
const (
	maxSearches  = 20
	maxSearched  = 1000
	maxSimilar   = 5
	maxLookAlike = 128
)

// BucketID adds look-alikes to a *permission.NoBucket error.
func (s *suggesting) BucketID(ctx context.Context, orgID, name string) (string, error) {
	if IsTemplate(name) { // which bucket it is depends on the caller
		return name, nil
	}
	id, err := s.Names.BucketID(ctx, orgID, name)
	var none *permission.NoBucket
	if !errors.As(err, &none) {
		return id, err
	}
	if s.searches++; s.searches > maxSearches || len(name) > maxLookAlike {
		return "", none
	}
	if s.buckets == nil {
		// A failure here only leaves the hint out.
		s.buckets, _ = s.client.Buckets(ctx, orgID, maxSearched)
	}
	var names []string
	for _, bucket := range s.buckets {
		if len(bucket.Name) <= maxLookAlike {
			names = append(names, bucket.Name)
		}
	}
	return "", &permission.NoBucket{Similar: similar(name, names)}
}

// similar picks the names that differ from the wanted one by a typing error or two, or by case.
func similar(wanted string, names []string) []string {
	distance := func(name string) int {
		return levenshtein.Distance(strings.ToLower(wanted), strings.ToLower(name), nil)
	}
	var alike []string
	for _, name := range names {
		if distance(name) <= max(1, len(wanted)/3) {
			alike = append(alike, name)
		}
	}
	slices.SortStableFunc(alike, func(a, b string) int { return distance(a) - distance(b) })
	return alike[:min(len(alike), maxSimilar)]
}
