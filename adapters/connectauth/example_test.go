package connectauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func whoami(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.StringValue], error) {
	user, _ := xenaauth.UserFromContext(ctx)
	return connect.NewResponse(wrapperspb.String(user.Subject())), nil
}

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)

	mux := http.NewServeMux()
	mux.Handle("/example.v1.Users/WhoAmI", connect.NewUnaryHandler("/example.v1.Users/WhoAmI", whoami))
	table, err := routes.New([]routes.Rule{
		{Pattern: "/example.v1.Users/", Access: routes.Require(xenaauth.AllScopes("testapi"))},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	handler := connectauth.New(auth, table.Find).Handler(mux)

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/example.v1.Users/WhoAmI", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="xena", scope="testapi"
}
