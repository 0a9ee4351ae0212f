package rediscache_test

import (
	"context"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
)

func Example() {
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 []string{"localhost:6379"},
		ContextTimeoutEnabled: true,
	})
	defer func() { _ = client.Close() }()

	secret := []byte("32 bytes or more of /dev/urandom") // the same secret on all instances
	fleet, err := rediscache.New(rediscache.Config{Client: client, Secrets: [][]byte{secret}})
	if err != nil {
		log.Fatal(err)
	}
	v, err := xenaauth.NewValidator(xenaauth.Config{
		Audiences: []string{"testapi"},
		Introspection: &xenaauth.Introspection{
			ClientID: "testapi", ClientSecret: "from your secret store",
			Cache: fleet,
		},
		RevocationBus: fleet,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = v.FollowRevocations(ctx) }()

	fmt.Println(v.Status().Revocations)
	// Output: 0
}
