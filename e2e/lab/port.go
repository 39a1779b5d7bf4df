package lab

import (
	"errors"
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

var claims sync.Map // address → the claim to it, which ends with this program

// FreeAddress is a loopback address that nothing listens on, and that no other lab on this machine is given: the UDP port of
// the same number says that it is taken, also while its server is stopped.
func FreeAddress() (string, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		claim, err := net.ListenPacket("udp", address)
		if err != nil {
			last = err
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			last = errors.Join(err, claim.Close())
			continue
		}
		claims.Store(address, claim)
		return address, listener.Close()
	}
	return "", fmt.Errorf("no free loopback port between %d and %d: %w", firstPort, lastPort, last)
}
