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
	// By default, the method Close of a UnixListener removes any file at the path. This file
	// could be the socket of another gateway. So Close must not remove it: removeAndClose does so,
	// and only if the file is still ownFile.
	l.SetUnlinkOnClose(false)
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
	// The file of the socket is removed first, and then the socket is closed. In the opposite
	// order, another gateway could find a socket that accepts no connections, and replace the file
	// with its own. If this happened between os.Lstat and os.Remove, os.Remove would remove the new
	// file.
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
		// If no socket can be created at the path, net.ListenUnix returns an error later. For
		// example, a file of another kind may be at the path, or its folder may not exist.
		return nil
	}
	conn, err := net.DialTimeout("unix", path, socketProbeTimeout)
	switch {
	case err == nil:
		_ = conn.Close()
		return errors.New("another program accepts connections on this Unix socket")
	case errors.Is(err, syscall.ECONNREFUSED):
		// No program listens on the socket. But since the first call of os.Lstat, another gateway
		// may have replaced the file of the socket, and may listen on the new one. So the file is
		// removed only if it is still the same file.
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, info) {
			// if os.Remove fails, net.ListenUnix later returns the error that the address is in use
			_ = os.Remove(path)
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
