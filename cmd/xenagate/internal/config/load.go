package config

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Load reads a configuration and the defaults of what it leaves out. The error tells every mistake, joined by
// [errors.Join]. Where there is a Config beside it, only values are wrong, and what else is can be told with it.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Config{source: newSource(path, data)}
	if err := c.source.parse(c); err != nil {
		return nil, err
	}
	c.fillIn()
	c.check()
	return c, errors.Join(c.source.errs...)
}

// fillIn sets what the file leaves out.
func (c *Config) fillIn() {
	or(&c.Authorization, "strip")
	or(&c.RoutesInterval, 2*time.Second)
	or(&c.Limits.HeaderBytes, 64<<10)
	t := &c.Timeouts
	or(&t.Header, 10*time.Second)
	or(&t.Read, 30*time.Second)
	or(&t.Write, 30*time.Second)
	or(&t.Idle, 2*time.Minute)
	or(&t.Dial, 3*time.Second)
	or(&t.ResponseHeader, 60*time.Second)
	if !c.Has("timeouts.drain_delay") {
		t.DrainDelay = 5 * time.Second
	}
	or(&t.Drain, 30*time.Second)
	if a := c.Identity.Assertion; a != nil {
		or(&a.JWKSPath, "/.well-known/jwks.json")
	}
	if e := c.ExtAuthz; e != nil && !c.Has("ext_authz.trusted_peers") {
		e.TrustedPeers = []string{"127.0.0.0/8", "::1/128"}
	}
	for i := range c.Upstreams {
		or(&c.Upstreams[i].Path, "/")
	}
}

func or[T comparable](field *T, standard T) {
	var zero T
	if *field == zero {
		*field = standard
	}
}

// Has reports whether the file has a key, by its dotted name.
func (c *Config) Has(key string) bool {
	_, ok := c.source.lines[key]
	return ok
}

// At is err with the file and line of a key, by its dotted name.
func (c *Config) At(key string, err error) error { return c.source.at(key, err) }

// file is a path as the configuration means it: beside itself.
func (c *Config) file(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.source.path), path)
}

// RoutesSource is what the table of routes is read from.
type RoutesSource struct {
	// Name is what errors call it.
	Name string
	// Data is the table, for package routesfile.
	Data []byte
	// Rest is what else is in the file, where the table is part of the configuration.
	Rest string
}

// ReadRoutes reads the table of routes as it is now. If the error is only about the rest of the file, it returns the
// table all the same, so that its mistakes can be told too.
func (c *Config) ReadRoutes() (RoutesSource, error) {
	if c.RoutesFile != "" {
		data, err := readFile(c.file(c.RoutesFile))
		return RoutesSource{Name: filepath.Base(c.RoutesFile), Data: data}, err
	}
	data, err := readFile(c.source.path)
	if err != nil {
		return RoutesSource{}, err
	}
	now := newSource(c.source.path, data)
	if err := now.parse(new(Config)); err != nil {
		return RoutesSource{}, err
	}
	if now.routesFrom == 0 {
		return RoutesSource{}, errors.New(now.name() + ": there are neither routes nor a routes_file")
	}
	routes, rest := now.routes()
	return RoutesSource{Name: now.name(), Data: routes, Rest: string(rest)}, errors.Join(now.errs...)
}
