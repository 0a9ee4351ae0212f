package bench

import (
	"context"
	"net/http"
)

type peer struct {
	name  string
	mount func(ctx context.Context, f *fixture, next http.Handler) http.Handler
}

var peers []peer
