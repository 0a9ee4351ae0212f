package config

import (
	"path/filepath"
	"strconv"
	"time"
)

// Load reads a configuration file and its table of routes. It sets the default for each key that
// the file lacks. A key with the value 0 never gets its default: either 0 has a meaning of its own,
// as in timeouts.drain_delay, or it is a mistake. An empty text in place of a default is a
// mistake too. The error lists the mistakes that Load has found, in the order of their lines,
// joined by [errors.Join]. If Load returns a Config together with an error, the file is valid YAML,
// and the caller can look for more mistakes in the Config.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parseFile(path, data)
	if err != nil {
		return nil, err
	}
	c.setDefaults()
	c.check()
	var errRoutes error
	c.Routes, errRoutes = c.loadRoutes(string(data))
	return c, c.JoinMistakes(append(c.source.errs, errRoutes)...)
}

// Config.setDefaults sets the default of each key that the configuration file lacks.
func (c *Config) setDefaults() {
	setDefault(c, "authorization", &c.Authorization, "strip")
	setDefault(c, "routes_interval", &c.RoutesInterval, 2*time.Second)
	setDefault(c, "limits.header_bytes", &c.Limits.HeaderBytes, 64<<10)
	t := &c.Timeouts
	setDefault(c, "timeouts.header", &t.Header, 10*time.Second)
	setDefault(c, "timeouts.read", &t.Read, 30*time.Second)
	setDefault(c, "timeouts.write", &t.Write, 30*time.Second)
	setDefault(c, "timeouts.idle", &t.Idle, 2*time.Minute)
	setDefault(c, "timeouts.dial", &t.Dial, 3*time.Second)
	setDefault(c, "timeouts.response_header", &t.ResponseHeader, 60*time.Second)
	setDefault(c, "timeouts.drain_delay", &t.DrainDelay, 5*time.Second)
	setDefault(c, "timeouts.drain", &t.Drain, 30*time.Second)
	c.Possession.DPoP.readEnvironment(c)
	if a := c.Identity.Assertion; a != nil {
		setDefault(c, "identity.assertion.jwks_path", &a.JWKSPath, "/.well-known/jwks.json")
	}
	if e := c.ExtAuthz; e != nil {
		setDefault(c, "ext_authz.trusted_peers", &e.TrustedPeers, []string{"127.0.0.0/8", "::1/128"})
	}
	for i := range c.Upstreams {
		setDefault(c, "upstreams."+strconv.Itoa(i)+".path", &c.Upstreams[i].Path, "/")
	}
}

// setDefault sets the field of a key to its default, unless the configuration file has the key.
func setDefault[T any](c *Config, key string, field *T, standard T) {
	if !c.Has(key) {
		*field = standard
	}
}

// Has reports whether the configuration file contains a key. The key is a dotted name, such as
// "admin.listen".
func (c *Config) Has(key string) bool {
	_, ok := c.source.lines[key]
	return ok
}

// AddPlace adds a place to err and returns the result. The place is the name of the configuration
// file, the line of a key, and the key. If the file lacks the key, the line is that of its section,
// or 1. The key is a dotted name, such as "admin.listen".
func (c *Config) AddPlace(key string, err error) error { return c.source.addPlace(key, err) }

// Config.filePath returns the path of a file whose name is in the configuration. If this name is a
// relative path, it is relative to the folder of the configuration file.
func (c *Config) filePath(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.source.path), path)
}

// Name returns the name of the configuration file, without folders.
func (c *Config) Name() string { return c.source.name() }
