package bounded_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/bounded"
)

// contents returns the values of those of the keys a to f that have an entry.
func contents(t *bounded.Table[string]) string {
	var all []string
	for _, key := range strings.Split("abcdef", "") {
		if value, ok := t.Get(key); ok {
			all = append(all, key+value)
		}
	}
	return strings.Join(all, " ")
}

func TestTable(t *testing.T) {
	t.Parallel()
	newTable := func(keys string) *bounded.Table[string] {
		table := bounded.New[string](3)
		for i, key := range strings.Split(keys, "") {
			table.Put(key, fmt.Sprint(i))
		}
		return table
	}
	take := func(table *bounded.Table[string], key, want string) {
		t.Helper()
		if value, ok := table.Take(key); value != want || ok != (want != "") {
			t.Errorf("Take(%q) = %q, %t", key, value, ok)
		}
	}
	requireContents := func(table *bounded.Table[string], want string) {
		t.Helper()
		if got := contents(table); got != want {
			t.Errorf("the table has %q, want %q", got, want)
		}
	}
	// If the table is full, a new entry replaces the oldest entry. But a new value for a key that
	// is already in the table replaces only the old value of this key.
	requireContents(newTable("abcbd"), "b3 c2 d4")
	// Take removes an entry from the table. After that, the table has room for another entry.
	table := newTable("abc")
	take(table, "b", "1")
	take(table, "b", "")
	table.Put("d", "3")
	requireContents(table, "a0 c2 d3")
	// An entry that was taken and put back is the newest entry.
	table = newTable("ab")
	take(table, "a", "0")
	table.Put("a", "2")
	table.Put("c", "3")
	requireContents(table, "a2 b1 c3")
	table.Put("d", "4")
	requireContents(table, "a2 c3 d4")
	table.Put("e", "5")
	requireContents(table, "c3 d4 e5")
	// After Table.DeleteFunc has deleted entries, the table has room for as many new entries.
	table = newTable("abc")
	table.DeleteFunc(func(value string) bool { return value != "1" })
	requireContents(table, "b1")
	table.Put("d", "3")
	table.Put("e", "4")
	requireContents(table, "b1 d3 e4")
}
