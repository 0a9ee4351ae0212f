package rediscache

import (
	"fmt"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// SetFullReadInterval sets the field fullReadInterval of the Cache. An instance of the service
// reads all stored revocations again from time to time, even if nothing indicates that they have
// changed. Between two such reads, it waits for this interval or up to twice as long.
func (c *Cache) SetFullReadInterval(d time.Duration) { c.fullReadInterval = d }

// SetMaxRead sets the field maxRead of c. An instance of the service reads the revocations in Redis
// in several steps, with about maxRead revocations in each step, at most.
func (c *Cache) SetMaxRead(n int) { c.maxRead = n }

// Fill makes an instance of the service know as many revocations as it can. All of them apply until
// endTime.
func (c *Cache) Fill(endTime time.Time) {
	for i := range maxRevocations {
		c.remember(fmt.Sprint(i), endTime, time.Now())
	}
}

// Seal encrypts a revocation in the same way as Publish.
func (c *Cache) Seal(t testing.TB, r xenaauth.Revocation) string {
	t.Helper()
	text, err := encodeMessage(r)
	if err != nil {
		t.Fatal(err)
	}
	return c.SealText(text)
}

// SealText encrypts the JSON text of a message about a revocation, as Publish does. The text may
// have a version that this release of the package does not write.
func (c *Cache) SealText(text string) string { return c.keys[0].sealRevocation(c.setName(), text) }
