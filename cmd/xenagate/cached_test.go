package main

// The tests run xenagate as a process. Without a test file in its own package, their binary would
// not be made of it, and "go test" would take results of an older xenagate from its cache.
var _ = main
