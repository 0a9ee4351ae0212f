package factcache_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/factcache"
)

const shards = 32

var start = time.Unix(1_700_000_000, 0)

// shardKey returns a key that belongs to the given shard of the cache. A different n gives a
// different key.
func shardKey(shard, n int) *factcache.Key {
	k := new(factcache.Key)
	k[0] = byte(shard)
	binary.BigEndian.PutUint64(k[24:], uint64(n))
	return k
}

// hashKey returns a key that is a hash, like the keys that the library uses. A different n gives a
// different key.
func hashKey(n int) *factcache.Key {
	k := factcache.Key(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))))
	return &k
}

func holds(t *testing.T, c *factcache.Cache[int], k *factcache.Key, now time.Time, want int) {
	t.Helper()
	got, ok := c.Get(k, now)
	require.True(t, ok)
	require.Equal(t, want, got)
}

func lacks(t *testing.T, c *factcache.Cache[int], k *factcache.Key, now time.Time) {
	t.Helper()
	got, ok := c.Get(k, now)
	require.False(t, ok)
	require.Zero(t, got)
}

func TestEmpty(t *testing.T) {
	c := factcache.New[int](100, 1<<40, nil)
	lacks(t, c, hashKey(1), start)
	c.Delete(hashKey(1))
	require.Zero(t, c.Len())
}

func TestPutGetDelete(t *testing.T) {
	c := factcache.New[int](1000, 1<<40, nil)
	end := start.Add(time.Hour)
	for i := range 500 {
		c.Put(hashKey(i), i, end, start)
	}
	require.Equal(t, 500, c.Len())
	for i := range 500 {
		holds(t, c, hashKey(i), start, i)
	}
	lacks(t, c, hashKey(500), start)
	c.Put(hashKey(7), -7, end, start)
	holds(t, c, hashKey(7), start, -7)
	require.Equal(t, 500, c.Len(), "an entry that is put again counts once")
	c.Delete(hashKey(7))
	lacks(t, c, hashKey(7), start)
	holds(t, c, hashKey(8), start, 8)
	require.Equal(t, 499, c.Len())
	c.Put(hashKey(7), 70, end, start)
	holds(t, c, hashKey(7), start, 70)
}

func TestEveryByteOfTheKeyCounts(t *testing.T) {
	c := factcache.New[int](10_000, 1<<40, nil)
	base := hashKey(0)
	c.Put(base, 1, start.Add(time.Hour), start)
	for i := range base {
		for bit := range 8 {
			other := *base
			other[i] ^= 1 << bit
			lacks(t, c, &other, start)
		}
	}
}

// Put copies the key, so the caller may change the memory of the key after Put.
func TestKeyIsCopied(t *testing.T) {
	c := factcache.New[int](100, 1<<40, nil)
	k := *hashKey(1)
	c.Put(&k, 1, start.Add(time.Hour), start)
	k = *hashKey(2)
	holds(t, c, hashKey(1), start, 1)
	lacks(t, c, &k, start)
}

func TestExpiry(t *testing.T) {
	c := factcache.New[int](100, 1<<40, nil)
	end := start.Add(time.Minute)
	c.Put(hashKey(1), 1, end, start)
	holds(t, c, hashKey(1), end.Add(-1), 1)
	lacks(t, c, hashKey(1), end)
	lacks(t, c, hashKey(1), end.Add(time.Hour))
	c.Put(hashKey(2), 2, start, start)
	c.Put(hashKey(3), 3, start.Add(-1), start)
	require.Equal(t, 1, c.Len(), "an expired value is not stored")

	c.Put(hashKey(1), 10, end.Add(time.Hour), end)
	holds(t, c, hashKey(1), end, 10)
	c.Put(hashKey(1), 11, end.Add(time.Minute), end)
	lacks(t, c, hashKey(1), end.Add(time.Minute))
}

// If Put gets a value that has expired or is too large, it stores nothing. The old value of the key
// is outdated, so Put removes it.
func TestPutRemovesTheOldValue(t *testing.T) {
	c := factcache.New(100, shards*(factcache.Overhead+10), func(n int) int { return n })
	end := start.Add(time.Minute)
	for name, put := range map[string]func(){
		"expired":     func() { c.Put(hashKey(1), 2, start.Add(-1), start) },
		"expires now": func() { c.Put(hashKey(1), 2, start, start) },
		"too large":   func() { c.Put(hashKey(1), 11, end, start) },
	} {
		t.Run(name, func(t *testing.T) {
			c.Put(hashKey(1), 1, end, start)
			holds(t, c, hashKey(1), start, 1)
			put()
			lacks(t, c, hashKey(1), start)
			require.Zero(t, c.Len())
			require.Zero(t, c.Bytes())
		})
	}
}

func TestCounts(t *testing.T) {
	c := factcache.New[int](100, 1<<40, nil)
	c.Put(hashKey(1), 1, start.Add(time.Minute), start)
	for range 3 {
		c.Get(hashKey(1), start)
	}
	c.Get(hashKey(1), start.Add(time.Minute))
	c.Get(hashKey(2), start)
	c.Delete(hashKey(1))
	c.Get(hashKey(1), start)
	c.Missed(hashKey(1))
	hits, misses := c.Counts()
	require.EqualValues(t, 3, hits)
	require.EqualValues(t, 4, misses)
}

func TestPeekCountsNothing(t *testing.T) {
	c := factcache.New[int](100, 1<<40, nil)
	c.Put(hashKey(1), 1, start.Add(time.Minute), start)
	got, ok := c.Peek(hashKey(1), start)
	require.True(t, ok)
	require.Equal(t, 1, got)
	_, ok = c.Peek(hashKey(1), start.Add(time.Minute))
	require.False(t, ok)
	_, ok = c.Peek(hashKey(2), start)
	require.False(t, ok)
	hits, misses := c.Counts()
	require.Zero(t, hits)
	require.Zero(t, misses)
}

func TestBound(t *testing.T) {
	for max, want := range map[int]int{1: 32, 32: 32, 33: 64, 100: 128, 1000: 1024} {
		c := factcache.New[int](max, 1<<40, nil)
		for i := range 10 * want {
			c.Put(hashKey(i), i, start.Add(time.Hour), start)
			require.LessOrEqual(t, c.Len(), want)
		}
		require.Equal(t, want, c.Len(), "a cache of %d is used whole", max)
	}
}

func TestFullShardDropsItsOldest(t *testing.T) {
	c := factcache.New[int](4*shards, 1<<40, nil)
	end := start.Add(time.Hour)
	c.Put(shardKey(6, 0), 6, end, start)
	for i := range 4 {
		c.Put(shardKey(5, i), i, end, start)
	}
	// a look-up does not change the age of an entry, so the shard still drops the looked-up entry
	// first
	holds(t, c, shardKey(5, 0), start, 0)
	// if a caller puts a new value under an old key, the age of the entry does not change, so the
	// shard still drops this entry first
	c.Put(shardKey(5, 0), 100, end, start)
	for i := 4; i < 20; i++ { // these new entries replace the oldest entries
		c.Put(shardKey(5, i), i, end, start)
		for j := range i + 1 {
			if j > i-4 {
				holds(t, c, shardKey(5, j), start, j)
			} else {
				lacks(t, c, shardKey(5, j), start)
			}
		}
	}
	holds(t, c, shardKey(6, 0), start, 6)
	c.Put(shardKey(5+shards, 0), 1, end, start)
	lacks(t, c, shardKey(5, 16), start)
}

func TestSweep(t *testing.T) {
	c := factcache.New[int](100*shards, 1<<40, nil)
	for i := range 100 {
		life := time.Hour
		if i%2 == 0 {
			life = 10 * time.Second
		}
		c.Put(shardKey(1, i), i, start.Add(life), start)
		c.Put(shardKey(2, i), i, start.Add(10*time.Second), start)
	}
	now := start.Add(time.Minute - 1)
	c.Put(shardKey(1, 100), 100, start.Add(time.Hour), now)
	lacks(t, c, shardKey(1, 0), now)
	require.Equal(t, 200, c.Len(), "no second sweep within a minute, so the oldest entry was dropped")
	now = start.Add(time.Minute)
	c.Put(shardKey(1, 101), 101, start.Add(time.Hour), now)
	require.Equal(t, 52+100, c.Len(), "only the shard with the new entry is swept")
	for i := 1; i < 100; i += 2 {
		holds(t, c, shardKey(1, i), now, i)
	}
	// the cache has removed the expired entries of this shard, so there is room for new entries
	for i := 102; i < 102+48; i++ {
		c.Put(shardKey(1, i), i, start.Add(time.Hour), now)
	}
	require.Equal(t, 100+100, c.Len())
	holds(t, c, shardKey(1, 1), now, 1)
	c.Put(shardKey(1, 150), 150, start.Add(time.Hour), now)
	lacks(t, c, shardKey(1, 1), now)
	holds(t, c, shardKey(1, 3), now, 3)
}

// Each shard of a cache stores its keys in the order of their age, in a ring buffer. This order
// must stay the same when a sweep removes the keys of expired and of deleted entries, also if the
// keys continue at the beginning of the buffer.
func TestSweepKeepsTheOrder(t *testing.T) {
	c := factcache.New[int](10*shards, 1<<40, nil)
	end := start.Add(time.Hour)
	for i := range 17 {
		expires := end
		if i == 9 || i == 12 || i == 15 {
			expires = start.Add(30 * time.Second)
		}
		c.Put(shardKey(1, i), i, expires, start)
	}
	c.Delete(shardKey(1, 10))
	now := start.Add(time.Minute)
	live := []int{7, 8, 11, 13, 14, 16} // live contains the entries of the shard, the oldest first
	for i := 17; i < 40; i++ {
		c.Put(shardKey(1, i), i, end, now)
		if len(live) == 10 {
			live = live[1:]
		}
		live = append(live, i)
		require.Equal(t, len(live), c.Len())
		for j := range i + 1 {
			if slices.Contains(live, j) {
				holds(t, c, shardKey(1, j), now, j)
			} else {
				lacks(t, c, shardKey(1, j), now)
			}
		}
	}
}

// The test makes the same random operations on a cache and on a map. The results must be the same,
// except that the cache may lose entries. The cache never returns a wrong, an expired or a deleted
// value, and never exceeds its limit.
func TestRandomOperations(t *testing.T) {
	type fact struct {
		value   int
		expires time.Time
	}
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			limit := 1 + random.IntN(300)
			bound := (limit + shards - 1) / shards * shards
			keys := 1 + random.IntN(3*bound)
			c := factcache.New[int](limit, 1<<40, nil)
			model := make(map[int]fact)
			now, hits, misses := start, uint64(0), uint64(0)
			for n := range 20_000 {
				k := random.IntN(keys)
				switch random.IntN(10) {
				case 0, 1, 2, 3:
					expires := now.Add(time.Duration(random.IntN(200)-10) * time.Second)
					c.Put(hashKey(k), n, expires, now)
					delete(model, k)
					if now.Before(expires) {
						model[k] = fact{n, expires}
						got, ok := c.Peek(hashKey(k), now)
						require.True(t, ok && got == n, "the latest entry is found")
					}
				case 4:
					c.Delete(hashKey(k))
					delete(model, k)
				case 5:
					now = now.Add(time.Duration(random.IntN(20)) * time.Second)
				default:
					got, ok := c.Get(hashKey(k), now)
					if !ok {
						misses++
						continue
					}
					hits++
					want, known := model[k]
					require.True(t, known, "step %d: never put, or deleted", n)
					require.Equal(t, want.value, got, "step %d", n)
					require.True(t, now.Before(want.expires), "step %d: expired", n)
				}
				require.LessOrEqual(t, c.Len(), bound, "step %d", n)
			}
			gotHits, gotMisses := c.Counts()
			require.Equal(t, [2]uint64{hits, misses}, [2]uint64{gotHits, gotMisses})
			require.NotZero(t, hits)
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	c := factcache.New[int](200, 1<<40, nil)
	var lookups atomic.Uint64
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 3))
			now := start
			for range 5000 {
				k := random.IntN(500)
				switch random.IntN(6) {
				case 0, 1:
					c.Put(hashKey(k), k, now.Add(time.Duration(1+random.IntN(100))*time.Second), now)
				case 2:
					c.Delete(hashKey(k))
				case 3:
					now = now.Add(time.Second)
					if n := c.Len(); n > 224 {
						t.Errorf("%d entries", n)
					}
				default:
					lookups.Add(1)
					if got, ok := c.Get(hashKey(k), now); ok && got != k {
						t.Errorf("key %d has value %d", k, got)
					}
				}
			}
		})
	}
	all.Wait()
	hits, misses := c.Counts()
	require.Equal(t, lookups.Load(), hits+misses)
	require.LessOrEqual(t, c.Len(), 224)
}

func TestReadingAllocatesNothing(t *testing.T) {
	c := factcache.New[int](100, 1<<40, nil)
	k := hashKey(1)
	c.Put(k, 1, start.Add(time.Hour), start)
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Get(k, start) }))
	other := hashKey(2)
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Get(other, start) }))
}
