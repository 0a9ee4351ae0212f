package replay_test

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/replay"
)

// BenchmarkUse measures one call of Local.Use. Each call uses a new value, and the values belong to
// 1000 owners. Entries expire during the benchmark, so each call also removes expired entries.
func BenchmarkUse(b *testing.B) {
	s := replay.NewLocal(replay.Options{})
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			owner := "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" + strconv.Itoa(int(i%1000))
			id := "e1j3V_bKic8-LAEB" + strconv.Itoa(int(i))
			if first, err := s.Use(b.Context(), owner, id, time.Now().Add(100*time.Millisecond)); !first || err != nil {
				b.Fatal(first, err)
			}
		}
	})
}

// BenchmarkMemory measures how many bytes of memory one entry takes, in a Local store with 300 000
// entries.
func BenchmarkMemory(b *testing.B) {
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := replay.NewLocal(replay.Options{})
		until := time.Now().Add(time.Hour)
		for i := range 300_000 {
			_, _ = s.Use(b.Context(), strconv.Itoa(i%1000), strconv.Itoa(i), until)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(s.Len()), "B/entry")
		runtime.KeepAlive(s)
	}
}
