// Package tablefile reads the table of routes that a command names.
package tablefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// Read reads the table of routes from a file. If the file has mistakes, the error lists them as
// [routesfile.Parse] does. If a command returns the error, its exit status is
// [console.StatusUsage].
func Read(path string) (*routes.Table, error) {
	name := filepath.Base(path)
	file, err := os.Open(path)
	if err != nil {
		return nil, console.NewUsageError(errors.New(name + ": the file can't be opened"))
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, routesfile.MaxSize+1))
	if err != nil {
		return nil, console.NewUsageError(errors.New(name + ": the file can't be read"))
	}
	table, err := routesfile.Parse(name, data)
	if err != nil {
		return nil, console.NewUsageError(err)
	}
	return table, nil
}
