package factcache_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/factcache"
)

// A sizedValue is a cached value whose size the test chooses.
type sizedValue struct{ n, size int }

func sizeOf(v sizedValue) int { return v.size }

func has(t *testing.T, c *factcache.Cache[sizedValue], k *factcache.Key, want int) {
	t.Helper()
	got, ok := c.Get(k, start)
	require.True(t, ok)
	require.Equal(t, want, got.n)
}

func hasNot(t *testing.T, c *factcache.Cache[sizedValue], k *factcache.Key) {
	t.Helper()
	_, ok := c.Get(k, start)
	require.False(t, ok)
}

// If a shard of the cache has no room for a new entry, it drops its oldest entries, but no more
// than necessary.
func TestBytesOfAShard(t *testing.T) {
	const size = 1000
	c := factcache.New(1000*shards, 10*(size+factcache.Overhead)*shards, sizeOf)
	end := start.Add(time.Hour)
	for i := range 10 {
		c.Put(shardKey(1, i), sizedValue{i, size}, end, start)
	}
	require.Equal(t, 10*(size+factcache.Overhead), c.Bytes())
	has(t, c, shardKey(1, 0), 0)
	c.Put(shardKey(1, 10), sizedValue{10, size}, end, start)
	hasNot(t, c, shardKey(1, 0))
	has(t, c, shardKey(1, 1), 1)
	// The new entry needs more memory than two old entries, but less than three, including the
	// overhead of each entry. So the three oldest entries are dropped.
	c.Put(shardKey(1, 11), sizedValue{11, 3 * size}, end, start)
	for i := 1; i <= 3; i++ {
		hasNot(t, c, shardKey(1, i))
	}
	has(t, c, shardKey(1, 4), 4)
	has(t, c, shardKey(1, 10), 10)
	has(t, c, shardKey(1, 11), 11)
	// shard 1 is full, but this has no effect on the other shards, so this Put into shard 2 drops
	// nothing from shard 1
	c.Put(shardKey(2, 0), sizedValue{20, size}, end, start)
	has(t, c, shardKey(1, 4), 4)
}

// A value that is too large for a shard of the cache is not stored. Only the old value of the same
// key is dropped.
func TestTooLarge(t *testing.T) {
	c := factcache.New(1000, 10_000*shards, sizeOf)
	end := start.Add(time.Hour)
	c.Put(shardKey(1, 0), sizedValue{0, 100}, end, start)
	c.Put(shardKey(1, 1), sizedValue{1, 100}, end, start)
	c.Put(shardKey(1, 1), sizedValue{11, 10_000 - factcache.Overhead + 1}, end, start)
	hasNot(t, c, shardKey(1, 1))
	has(t, c, shardKey(1, 0), 0)
	require.Equal(t, 100+factcache.Overhead, c.Bytes())
	c.Put(shardKey(1, 1), sizedValue{12, 10_000 - factcache.Overhead}, end, start)
	has(t, c, shardKey(1, 1), 12)
	hasNot(t, c, shardKey(1, 0))
	require.Equal(t, 10_000, c.Bytes())
}

// Cache.Bytes returns the size of all entries, also after values were replaced, deleted or removed
// because they had expired.
func TestBytesAreCounted(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 3))
		bound := (1 + random.IntN(40)) * 1000 * shards
		c := factcache.New(1+random.IntN(2000), bound, sizeOf)
		sizes := make(map[int]int)
		now := start
		for n := range 5000 {
			k := random.IntN(1500)
			switch random.IntN(8) {
			case 0:
				c.Delete(hashKey(k))
			case 1:
				now = now.Add(time.Duration(random.IntN(10)) * time.Second)
			default:
				sizes[k] = random.IntN(3000)
				c.Put(hashKey(k), sizedValue{n, sizes[k]}, now.Add(time.Duration(1+random.IntN(100))*time.Second), now)
			}
			require.LessOrEqual(t, c.Bytes(), bound)
		}
		// wantBytes becomes the expected result of Cache.Bytes. Each entry counts with the size of
		// its latest value. An expired entry counts until it is removed.
		wantBytes := 0
		for k, size := range sizes {
			if _, ok := c.Peek(hashKey(k), start); ok {
				wantBytes += size + factcache.Overhead
			}
		}
		require.Equal(t, wantBytes, c.Bytes(), "seed %d", seed)
		for k := range sizes {
			c.Delete(hashKey(k))
		}
		require.Zero(t, c.Bytes(), "seed %d", seed)
		require.Zero(t, c.Len(), "seed %d", seed)
	}
}

// The constant Overhead must be about the number of bytes that a cache entry takes in addition to
// the size of its value.
func TestOverhead(t *testing.T) {
	const n = 50_000
	before := measureHeap()
	c := factcache.New[int](n, 1<<40, nil)
	for i := range n {
		c.Put(hashKey(i), i, start.Add(time.Hour), start)
	}
	took := (measureHeap() - before) / n
	t.Logf("%d bytes an entry, counted as %d", took, factcache.Overhead)
	require.InDelta(t, 1, float64(took)/factcache.Overhead, 0.45)
	runtime.KeepAlive(c)
}

// The table of tokens in use (type Hot) stays within its limit of memory, and always keeps the
// token that was put last.
func TestHotBytes(t *testing.T) {
	const bound = 100_000
	h := factcache.NewHot[int](bound)
	for i := range 2000 {
		token := fmt.Sprint(strings.Repeat("x", i%700), " ", i)
		h.Put(token, i, i%300)
		got, ok := h.Get(token)
		require.True(t, ok)
		require.Equal(t, i, got)
		require.LessOrEqual(t, h.Bytes(), bound)
		require.Positive(t, h.Bytes())
		if i%5 == 0 {
			h.Delete(token)
		}
	}
	require.Greater(t, h.Bytes(), bound/2, "the table uses its room")

	h = factcache.NewHot[int](bound)
	h.Put("a", 1, 0)
	h.Put("b", 2, bound)
	_, ok := h.Get("b")
	require.False(t, ok, "too large")
	_, ok = h.Get("a")
	require.True(t, ok, "a value that is too large displaces nothing")
	h.Put("a", 3, bound)
	_, ok = h.Get("a")
	require.False(t, ok, "outdated")
	require.Zero(t, h.Bytes())
	h.Put("a", 1, 10)
	h.Put("a", 2, 20)
	h.Delete("a")
	h.Delete("a")
	require.Zero(t, h.Bytes())
}

func TestHotBytesConcurrently(t *testing.T) {
	const bound = 20_000
	h := factcache.NewHot[int](bound)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 5))
			for range 3000 {
				token := fmt.Sprint("token", random.IntN(300))
				if random.IntN(4) == 0 {
					h.Delete(token)
				} else {
					h.Put(token, 1, random.IntN(500))
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, h.Bytes(), bound)
	for i := range 300 {
		h.Delete(fmt.Sprint("token", i))
	}
	require.Zero(t, h.Bytes())
}

// A token may be a part of a longer text. Hot stores a copy of the token, so that the longer text
// does not stay in memory.
func TestHotKeepsTheTokenAlone(t *testing.T) {
	h := factcache.NewHot[int](1 << 20)
	before := measureHeap()
	for i := range 100 {
		field := strings.Repeat(" ", 100<<10) + fmt.Sprint("token", i)
		h.Put(field[100<<10:], i, 0)
	}
	require.Less(t, measureHeap()-before, 1<<20)
	runtime.KeepAlive(h)
}

// measureHeap returns how many bytes of heap memory are in use.
func measureHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
