package xenaauth

import "unsafe"

const defaultCacheBytes = 64 << 20

// The caches of one kind of tokens share the bytes that the configuration allows.
const (
	hotPart      = 4 // one in so many bytes is for the tokens in use
	inactivePart = 8 // and of introspection one in so many for tokens that are not active
)

// size is about how many bytes of memory the user takes, its claims included.
func (u *User) size() int {
	n := int(unsafe.Sizeof(*u)) + u.set.Size()
	if cap(u.scopes) > manyScopes {
		n += int(unsafe.Sizeof("")) * cap(u.scopes)
	}
	const perEntry = 40 // of a map of strings, free places included
	return n + perEntry*len(u.index)
}

// size counts the claims once: the user refers to them.
func (p *proven) size() int {
	return int(unsafe.Sizeof(*p)-unsafe.Sizeof(p.user)-unsafe.Sizeof(p.set)) + p.user.size()
}

func (s stored) size() int { return int(unsafe.Sizeof(s)) + len(s.payload) }

func (a *answered) size() int { return int(unsafe.Sizeof(*a)) + a.user.size() }
