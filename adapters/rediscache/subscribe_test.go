package rediscache_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// docs/fleet.md says how often an instance of the service tries to subscribe while Redis is frozen.
func TestSubscribeIntervalsWhileRedisIsFrozen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(fakeRedis)
		r.freeze()
		followFake(t, r, time.Minute)
		got := intervals(r.connections)
		if len(got) < 10 {
			t.Fatalf("%v", got)
		}
		for _, d := range got[len(got)-5:] {
			if d < 3*time.Second || d > 4*time.Second {
				t.Errorf("%v, want 3 to 4 seconds", d)
			}
		}
	})
}
