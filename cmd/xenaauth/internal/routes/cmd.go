// Package routes implements the command "routes", which checks a table of routes or prints it.
package routes

import (
	"context"
	"errors"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
)

// Cmd is the command "routes", which checks a table of routes or prints it.
type Cmd struct {
	Table string `arg:"" optional:"" type:"existingfile" help:"File with the table, in the format of gateway/routesfile. Without it, the table of the configuration file."`
	Print string `short:"p" enum:"none,text,markdown,openapi" default:"none" help:"Print the table as text, markdown or openapi, and don't check it. openapi is the part of an OpenAPI 3.1 document about access."`

	service.Flags
}

// Run runs the command "routes".
func (cmd *Cmd) Run(_ context.Context, c *console.Console) error {
	s, err := cmd.Load()
	if err != nil {
		return err
	}
	table, err := s.Table(cmd.Table)
	if err != nil {
		return err
	}
	switch cmd.Print {
	case "none":
		return lint(c, table, s.FindUnprovableRules(table))
	case "text":
		return c.Print(newListing(table))
	}
	if c.JSON() {
		return console.NewUsageError(errors.New("--json and --print=" + cmd.Print + " exclude each other"))
	}
	if cmd.Print == "markdown" {
		return c.Write(markdownTable(table))
	}
	document, err := openAPI(table)
	if err != nil {
		return console.NewUsageError(err)
	}
	return c.Write(document)
}
