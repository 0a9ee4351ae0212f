module github.com/xenaauth/xenaauth/adapters/echoauth

go 1.26.0

require (
	github.com/xenaauth/xenaauth v0.1.0
	github.com/labstack/echo/v5 v5.4.4
)

replace github.com/xenaauth/xenaauth => ../..
