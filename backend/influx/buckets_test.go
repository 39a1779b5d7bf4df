package influx_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// Two organizations have a bucket of the same name: each finds its own.
func TestBucketsOfTheSameName(t *testing.T) {
	srv := influxtest.New(t)
	other := srv.AddOrg("other")
	otherBucket := srv.AddBucket(other, influxtest.BucketName)
	client := connect(t, srv)
	for orgID, id := range map[string]string{srv.OrgID(): srv.BucketID(), other: otherBucket} {
		for _, spelled := range []string{orgID, strings.ToUpper(orgID)} {
			bucket, err := client.Bucket(t.Context(), spelled, influxtest.BucketName)
			require.NoError(t, err)
			require.Equal(t, influx.Named{ID: id, Name: influxtest.BucketName, OrgID: orgID}, bucket)
		}
	}
	_, err := client.Bucket(t.Context(), unknownID, influxtest.BucketName)
	require.True(t, influx.Is(err, influx.NotFound))
}

// A bucket is found however many there are, in one request, also where the token may read just this one.
func TestABucketBehindManyOthers(t *testing.T) {
	srv := influxtest.New(t)
	for i := range 300 {
		srv.AddBucket(srv.OrgID(), fmt.Sprintf("bucket-%03d", i))
	}
	wanted := srv.AddBucket(srv.OrgID(), "zebra")
	_, narrow := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.InOrgByID("read", "buckets", wanted, srv.OrgID()))
	for _, token := range []string{srv.RootToken(), narrow} {
		srv.ResetRequests()
		bucket, err := dial(t, influx.Options{URL: srv.URL, Token: token}).Bucket(t.Context(), srv.OrgID(), "zebra")
		require.NoError(t, err)
		require.Equal(t, wanted, bucket.ID)
		require.Len(t, srv.Requests(), 1)
	}
}

func TestBucketsArePaged(t *testing.T) {
	srv := influxtest.New(t)
	other := srv.AddOrg("other")
	names := []string{"_monitoring", "_tasks"} // the server lists by name
	for i := range 297 {
		names = append(names, fmt.Sprintf("bucket-%03d", i))
		srv.AddBucket(srv.OrgID(), names[len(names)-1])
		srv.AddBucket(other, names[len(names)-1])
	}
	names = append(names, influxtest.BucketName) // 300: the last page is a full one
	client := connect(t, srv)
	for limit, requests := range map[int]int{1: 1, 100: 1, 101: 2, 250: 3, 300: 3, 1000: 4} {
		srv.ResetRequests()
		buckets, err := client.Buckets(t.Context(), srv.OrgID(), limit)
		require.NoError(t, err)
		var found []string
		for _, bucket := range buckets {
			require.Equal(t, srv.OrgID(), bucket.OrgID)
			found = append(found, bucket.Name)
		}
		require.Equal(t, names[:min(limit, len(names))], found, limit)
		require.Len(t, srv.Requests(), requests, limit)
	}
	few := srv.AddOrg("empty")
	srv.ResetRequests()
	buckets, err := client.Buckets(t.Context(), few, 1000)
	require.NoError(t, err)
	require.Len(t, buckets, 2)
	require.Len(t, srv.Requests(), 1)
	none, err := client.Buckets(t.Context(), unknownID, 1000)
	require.NoError(t, err)
	require.Empty(t, none)
}

// A token that may read few buckets gets pages with holes, and an empty one has no last bucket to go on from.
func TestAnEmptyPageIsTheLast(t *testing.T) {
	client := serve(t, answer{status: 200, content: jsonType, body: `{"links":{"next":"/api/v2/buckets?offset=100"},"buckets":[]}`}.ServeHTTP)
	buckets, err := client.Buckets(t.Context(), unknownID, 1000)
	require.NoError(t, err)
	require.Empty(t, buckets)
}
