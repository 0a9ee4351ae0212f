package rediscache

import (
	"fmt"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// SetReadAnyway sets the time after which an instance reads the stored revocations although nothing
// indicates a change.
func (c *Cache) SetReadAnyway(d time.Duration) { c.readAnyway = d }

// SetMaxRead sets the largest number of members of the set of revocations that one read takes.
func (c *Cache) SetMaxRead(n int) { c.maxRead = n }

// Fill makes an instance know as many revocations as it can. The revocations end at the time until.
func (c *Cache) Fill(until time.Time) {
	for i := range maxRevocations {
		c.remember(fmt.Sprint(i), until, time.Now())
	}
}

// Seal returns a revocation in the sealed form that Publish stores.
func (c *Cache) Seal(t testing.TB, r xenaauth.Revocation) string {
	t.Helper()
	text, err := encodeMessage(r)
	if err != nil {
		t.Fatal(err)
	}
	return c.SealText(text)
}

// SealText seals the JSON of a message. The message may have a version that this release does not
// write.
func (c *Cache) SealText(text string) string { return c.keys[0].sealRevocation(c.setName(), text) }
