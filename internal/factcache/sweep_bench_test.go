package factcache

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkSweep measures for how long a look-up in the cache waits while the cache removes expired
// entries. It fills a cache with a million entries. One operation removes the expired entries of
// all shards, one shard after the other. The garbage collector is off, because a look-up could wait
// longer for the collector than for the removal.
func BenchmarkSweep(b *testing.B) {
	const entries = 1_000_000
	for _, expired := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("expired=%d%%", expired), func(b *testing.B) {
			var worst time.Duration
			for b.Loop() {
				b.StopTimer()
				c := New[int](entries+entries/10, 1<<40, nil)
				start := time.Now()
				var key Key
				for i := range entries {
					binary.LittleEndian.PutUint64(key[:], uint64(i))
					expires := start.Add(time.Hour)
					if i%100 < expired {
						expires = start.Add(time.Second)
					}
					c.Put(&key, i, expires, start)
				}
				var stop atomic.Bool
				longest := make(chan time.Duration)
				runtime.GC()
				percent := debug.SetGCPercent(-1)
				b.StartTimer()
				go func() {
					var longest1 time.Duration
					var key Key
					for i := uint64(0); !stop.Load(); i++ {
						binary.LittleEndian.PutUint64(key[:], i%entries)
						before := time.Now()
						c.Get(&key, before)
						longest1 = max(longest1, time.Since(before))
					}
					longest <- longest1
				}()
				later := start.Add(2 * time.Minute)
				for i := range shards {
					var key Key
					key[0], key[31] = byte(i), 1
					c.Put(&key, i, later.Add(time.Hour), later)
				}
				stop.Store(true)
				worst = max(worst, <-longest)
				debug.SetGCPercent(percent)
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "ms-worst-wait")
		})
	}
}
