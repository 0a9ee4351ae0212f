package doctor

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
)

// fromFile returns the subject for a configuration file of xenagate, as xenagate reads it.
func fromFile(path string) subject {
	s := subject{title: filepath.Base(path)}
	file, err := config.Load(path)
	s.mistakes = s.names.Mistakes(err)
	if file == nil {
		return s
	}
	s.file, s.names = file, setting.Names{File: file}
	s.cfg, err = file.Validator()
	s.mistakes = append(s.mistakes, s.names.Mistakes(err)...)
	_, err = file.CheckFiles()
	s.mistakes = append(s.mistakes, s.names.Mistakes(err)...)
	return s
}

// fileChecks adds the checks that only a configuration file needs: of the files that it names, and
// of the table of routes. It is called only if the file itself has no mistake.
func (l *Checklist) fileChecks(s subject) {
	read, _ := s.file.CheckFiles()
	if i := s.file.Tokens.Introspection; i != nil && i.ClientSecretFile != "" {
		read = append([]string{"tokens.introspection.client_secret_file"}, read...)
	}
	if len(read) > 0 {
		l.add(Check{Name: "secrets", State: Good, Found: "the files can be read: " + strings.Join(read, ", ")})
	}
	l.routes(s)
}

// The method routes adds the check of the table of routes.
func (l *Checklist) routes(s subject) {
	const name = "routes"
	table := s.file.Routes.Table
	c := Check{Name: name, State: Good, Found: count(len(table.Rules()), "rule")}
	for _, f := range table.Lint() {
		c.Details = append(c.Details, fmt.Sprintf("%s: %s", f.Kind, f))
	}
	if len(c.Details) > 0 {
		c.State = Warning
		c.Found += fmt.Sprintf(", %s", count(len(c.Details), "probable mistake"))
		c.Fix = "Check these rules. The most specific rule decides alone: it does not add to a wider one."
	}
	l.add(c)
	if !s.cfg.AllowAnyAudience {
		return
	}
	c = Check{Name: name, State: Bad, Found: "XENA_ALLOW_ANY_AUDIENCE is true, and a rule requires no scope: it refuses every request"}
	for _, rule := range table.Rules() {
		requirement, ok := rule.Access.Requirement()
		scoped := ok
		if ok {
			for _, scopes := range requirement.Alternatives() {
				scoped = scoped && len(scopes) > 0
			}
		}
		if !scoped && !rule.Access.IsPublic() && (ok || rule.Access.IsOptional()) {
			c.Details = append(c.Details, fmt.Sprintf("%s (%s)", rule.Source, rule.Pattern))
		}
	}
	if len(c.Details) > 0 {
		c.Fix = "Let these rules require a scope, or set XENA_AUDIENCE to the name of this API."
		l.add(c)
	}
}
