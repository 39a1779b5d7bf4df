package lab

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

// balancer hands requests to one node of a cluster after another: what a load balancer does, as a transport.
type balancer struct {
	transport *http.Transport

	mu    sync.Mutex
	nodes []*Vault // those that get requests
	next  int
	// handed are the requests of each node that are not answered to their end yet.
	handed map[*Vault]*sync.WaitGroup
}

func newBalancer(nodes []*Vault) *balancer {
	b := &balancer{
		transport: &http.Transport{MaxIdleConnsPerHost: 64}, // http's default of 2 is a new connection for most requests
		nodes:     slices.Clone(nodes), handed: map[*Vault]*sync.WaitGroup{},
	}
	for _, node := range nodes {
		b.handed[node] = &sync.WaitGroup{}
	}
	return b
}

// RoundTrip sends a request to the node whose turn it is.
func (b *balancer) RoundTrip(request *http.Request) (*http.Response, error) {
	node, done := b.turn()
	if node == nil {
		return nil, errors.New("no node of the cluster is in turn")
	}
	request = request.Clone(request.Context())
	request.URL.Host = node.Address[len("http://"):]
	request.Host = request.URL.Host
	response, err := b.transport.RoundTrip(request)
	if err != nil {
		done()
		return nil, err
	}
	response.Body = &watchedBody{response.Body, sync.OnceFunc(done)}
	return response, nil
}

func (b *balancer) turn() (*Vault, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.nodes) == 0 {
		return nil, nil
	}
	node := b.nodes[b.next%len(b.nodes)]
	b.next++
	b.handed[node].Add(1)
	return node, b.handed[node].Done
}

// watchedBody tells when an answer is read.
type watchedBody struct {
	io.ReadCloser
	done func()
}

func (w *watchedBody) Close() error {
	defer w.done()
	return w.ReadCloser.Close()
}

func (b *balancer) inTurn() []*Vault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.nodes)
}

// Include gives a node its turn (again).
func (b *balancer) Include(node *Vault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, node)
}

// Exclude takes a node out of turn at once.
func (b *balancer) Exclude(node *Vault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = slices.DeleteFunc(b.nodes, func(one *Vault) bool { return one == node })
}

// Drain takes a node out of turn and waits until the requests that it was handed are answered.
func (b *balancer) Drain(node *Vault) {
	b.Exclude(node)
	b.handed[node].Wait()
	b.transport.CloseIdleConnections()
}
