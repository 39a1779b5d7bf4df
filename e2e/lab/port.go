package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Servers get ports below those that the system gives to outgoing connections (from 32768 on Linux,
// 49152 on macOS). A server that is stopped and started again must find its port free, and a client
// that dials a stopped server's port from that very port would connect to itself.
const (
	firstPort = 20000
	lastPort  = 31999
)

var handedOut sync.Map // port → taken: no port twice in one program

// freeAddress is a loopback address that nothing listens on.
func freeAddress() (string, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		return address, listener.Close()
	}
	return "", fmt.Errorf("no free loopback port between %d and %d: %w", firstPort, lastPort, last)
}
