package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A socketListener accepts connections on a Unix socket. When it is closed, it removes the file of
// the socket only if the file is still its own: another gateway may have begun to listen on the
// same path.
type socketListener struct {
	*net.UnixListener
	path    string
	ownFile os.FileInfo // the file that this listener has created; nil if there is none
	close   func() error
}

// listenSocket opens a listener on a Unix socket. If an earlier gateway was killed and has left the
// file of its socket, listenSocket replaces the file. If a program still uses the socket,
// listenSocket returns an error.
func listenSocket(path string) (net.Listener, error) {
	if err := removeUnusedSocket(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // by default, Close removes any file at the path
	s := &socketListener{UnixListener: l, path: path}
	if info, err := os.Lstat(path); err == nil {
		s.ownFile = info
	}
	s.close = sync.OnceValue(s.removeAndClose)
	return s, nil
}

// socketListener.Close stops to accept connections, and removes the file of the socket.
func (s *socketListener) Close() error { return s.close() }

func (s *socketListener) removeAndClose() error {
	// The file is removed before the socket is closed. So no other gateway finds a socket here that
	// accepts no connections, and creates its own file before the next line removes it.
	if now, err := os.Lstat(s.path); err == nil && s.ownFile != nil && os.SameFile(now, s.ownFile) {
		_ = os.Remove(s.path)
	}
	return s.UnixListener.Close()
}

// socketProbeTimeout limits how long removeUnusedSocket waits for a program that uses the socket.
const socketProbeTimeout = 2 * time.Second

// removeUnusedSocket removes the file of a Unix socket on which no program listens. It returns an
// error if a program listens on the socket, or if it can't learn whether one does. It leaves every
// other kind of file in place.
func removeUnusedSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil // net.ListenUnix reports the mistake, if there is one
	}
	conn, err := net.DialTimeout("unix", path, socketProbeTimeout)
	switch {
	case err == nil:
		_ = conn.Close()
		return errors.New("another program accepts connections on this Unix socket")
	case errors.Is(err, syscall.ECONNREFUSED):
		// Another gateway may have replaced the file since it was looked at, and may listen on it.
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, info) {
			_ = os.Remove(path) // if this fails, net.ListenUnix reports that the address is in use
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil // the program that used the socket has just ended
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno
	}
	return fmt.Errorf("the gateway can't learn whether a program uses this Unix socket: %w", err)
}
