package keymutex

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneHolderPerKey(t *testing.T) {
	var (
		m       Map
		waiting sync.WaitGroup
		count   int
	)
	for range 100 {
		waiting.Go(func() {
			unlock, err := m.Lock(context.Background(), "app")
			if err == nil {
				count++ // the race detector tells when two have it
				unlock()
			}
		})
	}
	waiting.Wait()
	require.Equal(t, 100, count)
	require.Empty(t, m.entries, "nothing stays of a key that nobody uses")
}

func TestWaiterGivesUp(t *testing.T) {
	var m Map
	unlock, err := m.Lock(t.Context(), "app")
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Lock(gone, "app")
	require.ErrorIs(t, err, context.Canceled)
	other, err := m.Lock(t.Context(), "other")
	require.NoError(t, err)
	other()
	unlock()
	again, err := m.Lock(t.Context(), "app")
	require.NoError(t, err)
	again()
	require.Empty(t, m.entries)
}
