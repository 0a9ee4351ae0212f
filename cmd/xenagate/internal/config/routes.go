package config

import (
	"errors"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"
)

// Routes is a table of routes and the file that it was read from.
type Routes struct {
	Table *routes.Table
	// IgnoreCase reports whether the table ignores the case of paths.
	IgnoreCase bool
	// File is the last element of the file's path.
	File string
	// Content is what the file contained.
	Content string

	settings string // all keys of the file but the routes; "" for a routes_file
}

// SettingsChanged reports whether the configuration file of r has other settings beside the routes
// than before.
func (r *Routes) SettingsChanged(before *Routes) bool { return r.settings != before.settings }

// ReadRoutes returns what the file with the table of routes contains now.
func (c *Config) ReadRoutes() (content string, err error) {
	path := c.source.path
	if c.RoutesFile != "" {
		path = c.file(c.RoutesFile)
	}
	data, err := readFile(path)
	return string(data), err
}

// ParseRoutes returns the table in the content of the file with the table of routes. A mistake in
// the shape of the file is an error, also outside the table.
func (c *Config) ParseRoutes(content string) (*Routes, error) {
	if c.RoutesFile != "" {
		return c.parseRoutesFile(content)
	}
	now, err := parse(c.source.path, []byte(content))
	if err != nil {
		return nil, err
	}
	r, err := now.inlineRoutes(content)
	if err = errors.Join(append(now.source.errs, err)...); err != nil {
		return nil, err
	}
	return r, nil
}

// loadRoutes returns the table for Load, which has read the configuration file.
func (c *Config) loadRoutes(configuration string) (*Routes, error) {
	if c.RoutesFile == "" {
		return c.inlineRoutes(configuration)
	}
	content, err := c.ReadRoutes()
	if err != nil {
		return nil, err
	}
	return c.parseRoutesFile(content)
}

func (c *Config) parseRoutesFile(content string) (*Routes, error) {
	name := filepath.Base(c.RoutesFile)
	table, err := routesfile.Parse(name, []byte(content))
	if err != nil {
		return nil, err
	}
	return &Routes{Table: table, IgnoreCase: table.IgnoresCase(), File: name, Content: content}, nil
}

// inlineRoutes returns the table under the key routes.
func (c *Config) inlineRoutes(content string) (*Routes, error) {
	n, ok := c.source.values["routes"]
	if !ok {
		return nil, fmt.Errorf("%s: there are neither routes nor a routes_file", c.source.name())
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: routes: want a mapping", c.source.name(), n.Line)
	}
	table, err := routesfile.ParseNode(c.source.name(), n)
	if err != nil {
		return nil, err
	}
	settings, err := c.source.settings()
	if err != nil {
		return nil, err
	}
	return &Routes{
		Table: table, IgnoreCase: table.IgnoresCase(), File: c.source.name(), Content: content, settings: settings,
	}, nil
}

// settings returns all keys of the file but the routes, in a form that does not depend on their
// order.
func (s *source) settings() (string, error) {
	others := yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(s.root.Content); i += 2 {
		if s.root.Content[i].Value != "routes" {
			others.Content = append(others.Content, s.root.Content[i:i+2]...)
		}
	}
	var values map[string]any
	if err := others.Decode(&values); err != nil {
		return "", err
	}
	return fmt.Sprint(values), nil // fmt sorts the keys of maps
}
