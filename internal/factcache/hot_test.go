package factcache_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/factcache"
)

func TestHot(t *testing.T) {
	h := factcache.NewHot[int](1 << 30)
	_, ok := h.Get("a")
	require.False(t, ok)
	h.Delete("a")
	h.Put("a", 1, 0)
	got, ok := h.Get("a")
	require.True(t, ok)
	require.Equal(t, 1, got)
	for _, other := range []string{"", "A", "a ", "aa", "b"} {
		_, ok = h.Get(other)
		require.False(t, ok, other)
	}
	h.Put("a", 2, 0)
	got, _ = h.Get("a")
	require.Equal(t, 2, got)
	h.Delete("a")
	_, ok = h.Get("a")
	require.False(t, ok)
	require.EqualValues(t, 2, h.Hits())
}

func TestHotIsBounded(t *testing.T) {
	h := factcache.NewHot[int](1 << 30)
	for i := range 20_000 {
		h.Put(fmt.Sprint(i), i, 0)
		got, ok := h.Get(fmt.Sprint(i))
		require.True(t, ok, "the latest token is found")
		require.Equal(t, i, got)
	}
	found := 0
	for i := range 20_000 {
		if got, ok := h.Get(fmt.Sprint(i)); ok {
			found++
			require.Equal(t, i, got)
		}
	}
	require.LessOrEqual(t, found, 1024)
	require.Greater(t, found, 512, "most places are used")
}

// A table of the type factcache.Hot may lose the value of a token. But Get never returns an old
// value of a token after Put has stored a new one.
func TestHotRandomOperations(t *testing.T) {
	h := factcache.NewHot[int](1 << 30)
	model := make(map[string]int)
	random := rand.New(rand.NewPCG(1, 4))
	for n := range 300_000 {
		token := fmt.Sprint(random.IntN(2000))
		switch random.IntN(5) {
		case 0, 1:
			h.Put(token, n, 0)
			model[token] = n
		case 2:
			h.Delete(token)
			delete(model, token)
		default:
			if got, ok := h.Get(token); ok {
				want, known := model[token]
				require.True(t, known, "step %d: deleted", n)
				require.Equal(t, want, got, "step %d: an older value", n)
			}
		}
	}
}

func TestHotConcurrently(t *testing.T) {
	h := factcache.NewHot[string](1 << 30)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 5))
			for range 20_000 {
				token := fmt.Sprint(random.IntN(2000))
				switch random.IntN(4) {
				case 0:
					h.Put(token, token, 0)
				case 1:
					h.Delete(token)
				default:
					if got, ok := h.Get(token); ok && got != token {
						t.Errorf("token %s has the value of %s", token, got)
					}
				}
			}
		})
	}
	all.Wait()
	require.NotZero(t, h.Hits())
}

// The last bytes of a token determine where a table of the type factcache.Hot stores the token. Get
// must distinguish two tokens with the same last bytes.
func TestHotTokensWithTheSameEnd(t *testing.T) {
	h := factcache.NewHot[int](1 << 30)
	end := strings.Repeat("x", 64)
	for i := range 4 {
		h.Put(fmt.Sprint(i, ".", end), i, 0)
	}
	for i := range 4 {
		got, ok := h.Get(fmt.Sprint(i, ".", end))
		require.True(t, ok)
		require.Equal(t, i, got)
	}
	for _, other := range []string{"4." + end, end, "." + end, "0.x" + end, end[:32], ""} {
		_, ok := h.Get(other)
		require.False(t, ok, other)
	}
	h.Delete("1." + end)
	_, ok := h.Get("1." + end)
	require.False(t, ok)
	_, ok = h.Get("2." + end)
	require.True(t, ok)
}
