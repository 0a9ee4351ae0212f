package promauth

import (
	"maps"
	"sync"
	"sync/atomic"
)

// seriesMap is a map of Prometheus series that were looked up before. It exists because a lookup in
// the library of Prometheus takes longer than counting. To add a series, seriesMap replaces its map
// by a larger copy, so that readers need no lock. The zero value is empty.
type seriesMap[K comparable, V any] struct {
	mu    sync.Mutex // mu is locked while a series is added
	known atomic.Pointer[map[K]V]
}

func (s *seriesMap[K, V]) get(key K) (V, bool) {
	if known := s.known.Load(); known != nil {
		v, ok := (*known)[key]
		return v, ok
	}
	var none V
	return none, false
}

// seriesMap.add returns the Prometheus series for key. If the map lacks this series, add calls
// newSeries to make the series, and stores it. But if the map already has maxLength series, add
// makes none, and ok is false.
func (s *seriesMap[K, V]) add(key K, maxLength int, newSeries func() V) (v V, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[K]V{}
	if before := s.known.Load(); before != nil {
		if v, ok = (*before)[key]; ok {
			return v, true
		}
		if len(*before) >= maxLength {
			return v, false
		}
		maps.Copy(known, *before)
	}
	v = newSeries()
	known[key] = v
	s.known.Store(&known)
	return v, true
}
