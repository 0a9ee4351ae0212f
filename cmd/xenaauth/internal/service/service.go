// Package service reads the configuration of a service as the service itself reads it: from the
// environment, or from the configuration file of xenagate together with the environment.
package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/routes"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/tablefile"
)

// Flags are the command-line flags of a command that reads the configuration of a service.
type Flags struct {
	Config string `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration file of xenagate; if not set, the variable XENAGATE_CONFIG. The environment sets what the file lacks."`
}

// DefaultFile returns the path of the configuration file of xenagate, from the environment variable
// XENAGATE_CONFIG. It returns "" if the variable is not set.
func DefaultFile() string { return os.Getenv("XENAGATE_CONFIG") }

// Service is the configuration of the service that a command answers questions about.
type Service struct {
	setting.Names
	file *config.Config // file is nil if there is no configuration file
	path string         // path is the value of the flag --config, or ""
}

// Doctor returns the command that checks the configuration of the service.
func (s *Service) Doctor() string {
	switch {
	case s.path == "":
		return "xenaauth doctor"
	case strings.ContainsFunc(s.path, needsQuotes):
		return "xenaauth doctor --config '" + strings.ReplaceAll(s.path, "'", `'\''`) + "'"
	}
	return "xenaauth doctor --config " + s.path
}

// relativePath turns an absolute path into a path relative to the current folder, if the file is in
// this folder or below it. Otherwise it returns filePath unchanged. The command line makes the
// value of the flag --config absolute. So without relativePath, the output would show a longer path
// than the operator wrote.
func relativePath(filePath string) string {
	here, _ := os.Getwd()
	if relative, err := filepath.Rel(here, filePath); filePath != "" && err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return filePath
}

// needsQuotes reports whether a shell may give the character r a meaning of its own.
func needsQuotes(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/.-_+,:@%", r)
}

// Load reads the configuration file, if there is one. If the file has mistakes, the error lists all
// mistakes in the file, and the error ends the command with [console.StatusUsage].
func (f Flags) Load() (*Service, error) {
	path := f.Config
	if path == "" {
		path = DefaultFile()
	}
	if path == "" {
		return new(Service), nil
	}
	file, err := config.Load(path)
	if err != nil {
		return nil, console.NewUsageError(err)
	}
	s := FromFile(file)
	s.path = relativePath(f.Config)
	return s, nil
}

// FromFile returns the service that a configuration file describes.
func FromFile(file *config.Config) *Service {
	return &Service{Names: setting.Names{File: file}, file: file}
}

// Tokens returns the part of the configuration that says which tokens the service accepts. The
// error lists all mistakes in it.
func (s *Service) Tokens() (cfg xenaauth.Config, err error) {
	if s.file != nil {
		// s.file.Validator also checks the Config that it returns. ConfigFromEnv does not.
		cfg, err = s.file.Validator()
	} else if cfg, err = xenaauth.ConfigFromEnv(); err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return cfg, errors.New(strings.Join(s.Mistakes(err), "\n"))
	}
	return cfg, nil
}

// FindUnprovableRules returns the rules of a table that refuse every request. They require a bound
// token, but the configuration file turns off DPoP and client certificates, so no client can prove
// that it has the key of a token. Without a configuration file, it returns nil.
func (s *Service) FindUnprovableRules(table *routes.Table) []config.UnprovableRule {
	if s.file == nil {
		return nil
	}
	return s.file.FindUnprovableRules(table)
}

// Table returns the table of routes in the file that path names. If path is "", Table returns the
// table of the configuration file. It returns an error if there is none.
func (s *Service) Table(path string) (*routes.Table, error) {
	switch {
	case path != "":
		return tablefile.Read(path)
	case s.file != nil:
		return s.file.Routes.Table, nil
	}
	return nil, console.NewUsageError(errors.New("no table of routes is given: name its file, " +
		"or a configuration with --config"))
}
