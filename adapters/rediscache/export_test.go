package rediscache

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// SetReadAnyway has everything be read more often than anybody would wait for in a test.
func (c *Cache) SetReadAnyway(d time.Duration) { c.readAnyway = d }

// SetMaxRead has one read take no more than n members.
func (c *Cache) SetMaxRead(n int) { c.maxRead = n }

// Fill has an instance know as many revocations as it can.
func (c *Cache) Fill(until time.Time) {
	for i := range maxRevocations {
		c.remember(fmt.Sprint(i), until, time.Now())
	}
}

// Seal gives what Publish stores.
func (c *Cache) Seal(t testing.TB, r xenaauth.Revocation) string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return c.keys[0].sealRevocation(c.setName(), string(text))
}
