package backend

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// forwarder is an address that leads each new connection to its target, as a Service of Kubernetes does: those that are open
// stay where they are.
type forwarder struct {
	url    string
	target atomic.Pointer[string]
}

func newForwarder(t *testing.T, target string) *forwarder {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	f := &forwarder{url: "http://" + listener.Addr().String()}
	f.target.Store(&target)
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(*f.target.Load(), "http://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{out, in}, {in, out}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				}()
			}
		}
	}()
	return f
}

// The address moves to an InfluxDB that knows the root token, too, while connections to the one before are open: of the
// revocations some meet the one and some the other, at once. None succeeds whose token lives.
func TestAnAddressThatMovesEndsNoLeaseOfALivingToken(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of it know one token")
	for range 5 {
		m := newMount(t)
		before, after := influxtest.New(t, influxtest.RootToken(operatorToken)), influxtest.New(t, influxtest.RootToken(operatorToken))
		before.SetClock(m.clock.now)
		after.SetClock(m.clock.now)
		address := newForwarder(t, before.URL)
		m.write("config", map[string]any{"url": address.url, "token": operatorToken, "org": influxtest.OrgName})
		m.write("roles/app", map[string]any{"read_buckets": "metrics", "ttl": "5m", "max_ttl": "1h"})
		leases := make([]*leased, 40)
		const connections = 4
		var group sync.WaitGroup
		for n := range connections {
			group.Go(func() {
				for i := n; i < len(leases); i += connections {
					leases[i] = m.mint("app")
				}
			})
		}
		group.Wait()
		address.target.Store(&after.URL)
		ended := make([]bool, len(leases))
		for i, l := range leases {
			group.Go(func() { ended[i] = l.inBackground() == nil })
		}
		group.Wait()
		living, pending := live(before), m.pendingIDs()
		for i, l := range leases {
			_, lives := living[l.id]
			require.False(t, ended[i] && lives && !slices.Contains(pending, l.id), "%s ended, its token lives, and nobody will delete it", l.id)
		}
	}
}
