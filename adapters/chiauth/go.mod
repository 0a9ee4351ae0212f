module github.com/xenaauth/xenaauth/adapters/chiauth

go 1.26.0

require (
	github.com/xenaauth/xenaauth v0.1.0
	github.com/go-chi/chi/v5 v5.5.0
)

replace github.com/xenaauth/xenaauth => ../..
