//go:build unix

package influx

import (
	"net"
	"syscall"
)

// staleness returns what reports whether an idle connection can't serve another call: the server has closed it, or sent
// what nobody asked for. What is sent on it would be lost, and whether a POST was carried out would not be known. All that
// it needs is made here: a look allocates nothing.
func staleness(c net.Conn) func() bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return func() bool { return false }
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return func() bool { return true }
	}
	var last error
	next := make([]byte, 1)
	peek := func(fd uintptr) bool {
		_, _, last = syscall.Recvfrom(int(fd), next, syscall.MSG_PEEK) // Go's sockets never block
		return true
	}
	return func() bool { return raw.Read(peek) != nil || last != syscall.EAGAIN && last != syscall.EINTR }
}
