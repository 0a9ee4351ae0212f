module github.com/xenaauth/xenaauth/adapters/echov4auth

go 1.26.0

require (
	github.com/xenaauth/xenaauth v0.1.0
	github.com/labstack/echo/v4 v4.16.0
)

replace github.com/xenaauth/xenaauth => ../..
