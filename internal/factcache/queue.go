package factcache

// queue is a ring of keys, first in, first out.
type queue struct {
	keys []string
	head int // the oldest
	n    int
}

// at returns a key. The oldest one has the index 0.
func (q *queue) at(i int) string { return q.keys[(q.head+i)%len(q.keys)] }

// push adds a key. The queue must have less than most keys before. It does not grow beyond most.
func (q *queue) push(k string, most int) {
	if q.n == len(q.keys) {
		grown := make([]string, min(q.n+q.n/4+8, most))
		for i := range q.n {
			grown[i] = q.at(i)
		}
		q.keys, q.head = grown, 0
	}
	q.keys[(q.head+q.n)%len(q.keys)] = k
	q.n++
}

// pop removes the oldest key.
func (q *queue) pop() string {
	k := q.keys[q.head]
	q.keys[q.head] = ""
	q.head = (q.head + 1) % len(q.keys)
	q.n--
	return k
}
