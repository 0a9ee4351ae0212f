package rediscache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// A fakeRedis takes the place of the Redis server in a test that uses synctest. Add it to the Redis
// client as a hook: the hook answers the commands of the client, so no command reaches the network.
// It stores nothing. While it is frozen, it answers no command.
type fakeRedis struct {
	ignoresContext bool // if ignoresContext is true, the end of a context ends no command
	thawed         atomic.Pointer[chan struct{}]

	mu          sync.Mutex
	countReads  []time.Time // the times at which the client asked how many revocations are stored
	connections []time.Time // the times at which the client opened a connection for a subscription
}

func (f *fakeRedis) freeze() {
	thawed := make(chan struct{})
	f.thawed.Store(&thawed)
}

func (f *fakeRedis) thaw() { close(*f.thawed.Swap(nil)) }

// intervals returns the durations between the given times.
func intervals(times []time.Time) (all []time.Duration) {
	for i := 1; i < len(times); i++ {
		all = append(all, times[i].Sub(times[i-1]))
	}
	return all
}

func (f *fakeRedis) answer(ctx context.Context, commands ...redis.Cmder) error {
	if thawed := f.thawed.Load(); thawed != nil {
		if f.ignoresContext {
			ctx = context.Background()
		}
		select {
		case <-*thawed:
		case <-ctx.Done():
			for _, c := range commands {
				c.SetErr(ctx.Err())
			}
			return ctx.Err()
		}
	}
	for _, c := range commands {
		switch c := c.(type) {
		case *redis.StatusCmd:
			c.SetVal("OK")
		case *redis.Cmd: // the script that reads revocations: the reply contains none
			c.SetVal([]any{"0", "0"})
		case *redis.IntCmd:
			if c.Name() == "zcard" {
				f.mu.Lock()
				f.countReads = append(f.countReads, time.Now())
				f.mu.Unlock()
			}
		}
	}
	return nil
}

func (f *fakeRedis) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error { return f.answer(ctx, c) }
}

func (f *fakeRedis) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error { return f.answer(ctx, all...) }
}

// DialHook opens a connection for each subscription. The connection is a pipe in memory. All other
// commands need no connection, because the method fakeRedis.answer answers them.
func (f *fakeRedis) DialHook(redis.DialHook) redis.DialHook {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.mu.Lock()
		f.connections = append(f.connections, time.Now())
		f.mu.Unlock()
		near, far := net.Pipe()
		go f.serve(far)
		return near, nil
	}
}

// serve answers SUBSCRIBE and the PING of a subscription, in the protocol RESP2.
func (f *fakeRedis) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for {
		var words int
		if _, err := fmt.Fscanf(in, "*%d\r\n", &words); err != nil {
			return
		}
		command := make([]string, words)
		for i := range command {
			var length int
			if _, err := fmt.Fscanf(in, "$%d\r\n", &length); err != nil {
				return
			}
			text := make([]byte, length+2)
			if _, err := io.ReadFull(in, text); err != nil {
				return
			}
			command[i] = string(text[:length])
		}
		if f.thawed.Load() != nil {
			continue
		}
		reply := "-ERR unknown command\r\n"
		switch strings.ToLower(command[0]) {
		case "subscribe":
			name := command[1]
			reply = fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(name), name)
		case "ping":
			reply = "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}
