package store

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// What a newer version wrote may hold what this one would lose when it writes it back.
func TestAnEntryOfANewerVersionIsNotRead(t *testing.T) {
	s := &logical.InmemStorage{}
	require.NoError(t, s.Put(t.Context(), &logical.StorageEntry{Key: "role/app", Value: []byte(`{"version":2,"token_type":"custom"}`)}))
	_, err := Roles.Get(t.Context(), s, "app")
	require.ErrorContains(t, err, "read role/app from storage: written by a newer version")
}
