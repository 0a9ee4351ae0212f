module github.com/xenaauth/xenaauth/bench

go 1.26.0

require github.com/xenaauth/xenaauth v0.1.0

replace github.com/xenaauth/xenaauth => ../
