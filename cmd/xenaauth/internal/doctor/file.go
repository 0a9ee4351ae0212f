package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// fromFile returns what the command "doctor" examines if the operator gives a configuration file of
// xenagate. It reads the file in the same way as xenagate.
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
	_, err = service.FromFile(file).Options(new(bool))
	s.mistakes = append(s.mistakes, s.names.Mistakes(err)...)
	_, err = file.CheckFiles()
	s.mistakes = append(s.mistakes, s.names.Mistakes(err)...)
	return s
}

// Checklist.checkFile adds the checks that are possible only with a configuration file of the
// gateway. They check the other files that the configuration file names, and the table of routes.
// checkFile is called only if the configuration file and the files that it names have no mistake.
func (l *Checklist) checkFile(s subject) {
	readableSettings, _ := s.file.CheckFiles()
	if i := s.file.Tokens.Introspection; i != nil && i.ClientSecretFile != "" {
		readableSettings = append([]string{"tokens.introspection.client_secret_file"}, readableSettings...)
	}
	if len(readableSettings) > 0 {
		l.add(Check{Name: "secrets", State: Good, Found: "the files can be read: " + strings.Join(readableSettings, ", ")})
	}
	l.checkRoutes(s)
}

// Checklist.checkRoutes adds the check of the table of routes to the checklist.
func (l *Checklist) checkRoutes(s subject) {
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
	if s.cfg.AllowAnyAudience {
		l.checkRefusingRules(s, "XENA_ALLOW_ANY_AUDIENCE is true, and a rule requires no scope: it refuses every token",
			"Let these rules require a scope, or set XENA_AUDIENCE to the name of this API.", needsNoScope)
	}
	if p := &s.file.Possession; !p.UsesDPoP() && !p.UsesCertificates() {
		l.checkRefusingRules(s, "a rule requires a bound token, and possession is off: it refuses every request",
			"Set the section possession, or remove bound from these rules.", config.NeedsProof)
	}
}

// Checklist.checkRefusingRules adds a failed check if the table of routes has rules that refuse
// every token. The function refusesRequests reports whether a rule with the given Access refuses
// every token.
func (l *Checklist) checkRefusingRules(s subject, found, fix string, refusesRequests func(routes.Access) bool) {
	c := Check{Name: "routes", State: Bad, Found: found, Fix: fix}
	for _, rule := range s.file.Routes.Table.Rules() {
		if refusesRequests(rule.Access) {
			c.Details = append(c.Details, fmt.Sprintf("%s (%s)", rule.Source, rule.Pattern))
		}
	}
	if len(c.Details) > 0 {
		l.add(c)
	}
}

// needsNoScope reports whether a rule checks tokens and requires no scope. It returns false for a
// rule that is public or denies every request.
func needsNoScope(access routes.Access) bool {
	r, ok := access.Requirement()
	return access.IsOptional() ||
		ok && slices.ContainsFunc(r.Alternatives(), func(scopes []string) bool { return len(scopes) == 0 })
}
