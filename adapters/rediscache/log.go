package rediscache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Instances of the service share introspection responses, revocations and used values through
// Redis. logChange logs when the calls to Redis for one of these begin to fail, and when they work
// again. sharedKind is "responses", "uses", "revocations" for the messages that Redis publishes, or
// "kept revocations" for the revocations that Redis stores. err is the result of the latest call to
// Redis.
func (c *Cache) logChange(sharedKind string, err error) {
	c.mu.Lock()
	before := c.logged[sharedKind]
	c.logged[sharedKind] = err != nil
	c.mu.Unlock()
	switch {
	// If the calls to Redis still fail, but for another cause, logChange logs nothing: the cause
	// may change often during a long failure.
	case err != nil && !before:
		effect := "so this instance is on its own"
		if sharedKind == "uses" {
			effect = "so values that may be used once get the response 503"
		}
		c.log(slog.LevelError, "Redis fails, "+effect, "what", sharedKind, "why", publicCause(err))
	case err == nil && before:
		c.log(slog.LevelInfo, "Redis is back", "what", sharedKind)
	}
}

// logForged logs that Redis contains a value that no instance of the service has stored there. It
// logs this only once for each kind of value, because an attacker can store many.
func (c *Cache) logForged(sharedKind string) {
	c.logOnce("forged "+sharedKind,
		"Redis has values that no secret of this fleet has sealed; they are ignored",
		"what", sharedKind)
}

// logNewer logs that Redis contains revocations in the format of a later release, which this
// instance of the service can't read. It logs this only once.
func (c *Cache) logNewer() {
	c.logOnce("newer", "Redis has revocations of a later version of this library: "+
		"they are not in force on this instance")
}

func (c *Cache) logOnce(key, text string, args ...any) {
	c.mu.Lock()
	before := c.logged[key]
	c.logged[key] = true
	c.mu.Unlock()
	if !before {
		c.log(slog.LevelWarn, text, args...)
	}
}

func (c *Cache) log(level slog.Level, text string, args ...any) {
	l := c.logger
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, "rediscache: "+text, args...)
}

// publicCause returns the cause of a failed call to Redis, for the log. The text of the error
// itself is not logged, because it may contain addresses, and names of keys in Redis.
func publicCause(err error) string {
	var reply redis.Error
	var network net.Error
	switch {
	case errors.Is(err, errPanic):
		return "the client panicked"
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed):
		return "connection closed"
	case errors.As(err, &reply):
		return "Redis returns an error"
	}
	return "the connection failed"
}
