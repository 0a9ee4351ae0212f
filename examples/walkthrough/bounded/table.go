// Package bounded contains the type Table, a map in memory with a limited number of entries.
package bounded

import (
	"slices"
	"sync"
)

// Table is a map with a limited number of entries. If it is full, a new entry replaces the oldest
// entry. So clients that nobody knows can't fill the memory by sending requests. Table is safe for
// concurrent use.
type Table[V any] struct {
	max int

	mu      sync.Mutex
	entries map[string]V
	order   []string // the keys of the entries, the oldest key first
}

// New returns an empty table that can have at most max entries.
func New[V any](max int) *Table[V] {
	return &Table[V]{max: max, entries: make(map[string]V)}
}

// Put sets the value of key. If the table has no entry with this key, Put adds one.
func (t *Table[V]) Put(key string, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.entries[key]; !ok {
		if len(t.order) == t.max {
			delete(t.entries, t.order[0])
			t.order = slices.Delete(t.order, 0, 1)
		}
		t.order = append(t.order, key)
	}
	t.entries[key] = value
}

// Get returns the value of key. ok is false if the table has no entry with this key.
func (t *Table[V]) Get(key string) (value V, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	value, ok = t.entries[key]
	return value, ok
}

// Take returns the value of key and deletes the entry from the table. If several callers call Take
// with the same key, only one of them gets the value.
func (t *Table[V]) Take(key string) (value V, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if value, ok = t.entries[key]; ok {
		delete(t.entries, key)
		i := slices.Index(t.order, key)
		t.order = slices.Delete(t.order, i, i+1)
	}
	return value, ok
}

// DeleteFunc calls isUnwanted with the value of each entry, and deletes the entry if the result is
// true.
func (t *Table[V]) DeleteFunc(isUnwanted func(V) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.order = slices.DeleteFunc(t.order, func(key string) bool {
		if !isUnwanted(t.entries[key]) {
			return false
		}
		delete(t.entries, key)
		return true
	})
}
