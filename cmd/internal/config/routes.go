package config

import (
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"
)

// Routes is a table of routes, together with the content of the file that contains the table.
type Routes struct {
	Table *routes.Table
	// IgnoreCase reports whether the table treats "/a" and "/A" as the same path.
	IgnoreCase bool
	// File is the name of the file with the table of routes, without folders.
	File string
	// Content is the content of the file with the table of routes.
	Content string

	// settingsText is the content of the configuration file without the table of routes.
	// SettingsChanged compares this text with the earlier text. settingsText is always "" if the
	// table is in a file of its own (the key routes_file): then ReadRoutes reads only that file,
	// and cannot see a change in the configuration file.
	settingsText string
}

// SettingsChanged reports whether a part of the configuration file other than the table of routes
// has changed since earlierRoutes was read. If the table is in a file of its own, SettingsChanged
// always reports false.
func (r *Routes) SettingsChanged(earlierRoutes *Routes) bool {
	return r.settingsText != earlierRoutes.settingsText
}

// ReadRoutes reads the file that contains the table of routes again, and returns the content of
// this file.
func (c *Config) ReadRoutes() (content string, err error) {
	path := c.source.path
	if c.RoutesFile != "" {
		path = c.filePath(c.RoutesFile)
	}
	data, err := readFile(path)
	return string(data), err
}

// ParseRoutes returns the table of routes. content is the text of the file that contains the table.
// ParseRoutes returns an error for wrong YAML anywhere in the file, also outside the table.
func (c *Config) ParseRoutes(content string) (*Routes, error) {
	if c.RoutesFile != "" {
		return c.parseRoutesFile(content)
	}
	now, err := parseFile(c.source.path, []byte(content))
	if err != nil {
		return nil, err
	}
	r, err := now.inlineRoutes(content)
	if err = now.JoinMistakes(append(now.source.errs, err)...); err != nil {
		return nil, err
	}
	return r, nil
}

// loadRoutes returns the table of routes for the function Load, which has already read the
// configuration file.
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

// inlineRoutes returns the table of routes that the configuration file itself contains, under the
// key routes.
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
		Table: table, IgnoreCase: table.IgnoresCase(), File: c.source.name(), Content: content, settingsText: settings,
	}, nil
}

// sourceFile.settings returns the content of the configuration file without the table of routes.
// The result does not depend on the order of the keys.
func (s *sourceFile) settings() (string, error) {
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
	return fmt.Sprint(values), nil // package fmt prints a map in the order of its keys
}
