package factcache

// queue is a first-in, first-out queue of cache keys, stored in a ring buffer.
type queue struct {
	keys []string
	head int // head is the index of the oldest key in the ring buffer
	n    int
}

// queue.at returns the key with the index i. The oldest key has the index 0.
func (q *queue) at(i int) string { return q.keys[(q.head+i)%len(q.keys)] }

// queue.push adds a key to the queue. If necessary the ring buffer grows, up to maxKeys keys. The
// caller must not push a key while the queue contains maxKeys keys.
func (q *queue) push(k string, maxKeys int) {
	if q.n == len(q.keys) {
		grown := make([]string, min(q.n+q.n/4+8, maxKeys))
		for i := range q.n {
			grown[i] = q.at(i)
		}
		q.keys, q.head = grown, 0
	}
	q.keys[(q.head+q.n)%len(q.keys)] = k
	q.n++
}

// queue.pop removes the oldest key and returns it.
func (q *queue) pop() string {
	k := q.keys[q.head]
	q.keys[q.head] = ""
	q.head = (q.head + 1) % len(q.keys)
	q.n--
	return k
}
