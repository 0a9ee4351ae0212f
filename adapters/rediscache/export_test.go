package rediscache

import (
	"fmt"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// SetReadAnyway shortens the time until a read without a reason.
func (c *Cache) SetReadAnyway(d time.Duration) { c.readAnyway = d }

// SetMaxRead bounds the members of one read.
func (c *Cache) SetMaxRead(n int) { c.maxRead = n }

// Fill makes an instance know as many revocations as it can.
func (c *Cache) Fill(until time.Time) {
	for i := range maxRevocations {
		c.remember(fmt.Sprint(i), until, time.Now())
	}
}

// Seal returns what Publish stores.
func (c *Cache) Seal(t testing.TB, r xenaauth.Revocation) string {
	t.Helper()
	text, err := encodeMessage(r)
	if err != nil {
		t.Fatal(err)
	}
	return c.SealText(text)
}

// SealText seals the JSON of a message, which may be of another version.
func (c *Cache) SealText(text string) string { return c.keys[0].sealRevocation(c.setName(), text) }
