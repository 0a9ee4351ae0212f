package replay

// An entry records in a Local store that a value was used. The field key is a hash of the owner and
// the id of the value.
type entry struct {
	endTime int64 // endTime is when the entry expires, in milliseconds since 1970
	owner   uint64
	key     key
}

// queue is a heap of the entries of a shard: the entry that expires first has the index 0. Package
// container/heap is not used, because it would allocate memory for each entry.
type queue []entry

// queue.push adds an entry to the queue.
func (q *queue) push(e entry) {
	h := append(*q, e)
	*q = h
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].endTime <= e.endTime {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// queue.pop removes the entry that expires first, and returns it. The queue must not be empty.
func (q *queue) pop() entry {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].endTime < h[child].endTime {
			child++
		}
		if last.endTime <= h[child].endTime {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}
