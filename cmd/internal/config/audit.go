package config

import (
	"net/url"
	"strings"
)

// Audit is the section audit of the configuration file. It configures the audit log of the gateway.
type Audit struct {
	File    string `yaml:"file"`
	KeyFile string `yaml:"key_file"`
}

// checkAudit finds the mistakes in the section audit and in the key problem_types of the
// configuration file.
func (c *Config) checkAudit() {
	if a := c.Audit; a != nil {
		if a.File == "" {
			c.source.addMistakeAt("audit.file", "is missing")
		}
		if a.KeyFile == "" {
			c.source.addMistakeAt("audit.key_file", "is missing")
		}
	}
	u, err := url.Parse(c.ProblemTypes + "reason")
	odd := func(r rune) bool { return r <= ' ' || r > 0x7e || r == '"' || r == '\\' }
	if c.ProblemTypes != "" && (err != nil || !u.IsAbs() || strings.ContainsFunc(c.ProblemTypes, odd)) {
		c.source.addMistakeAt("problem_types", "want an absolute URI, such as https://api.example/problems#")
		// The text in problem_types is wrong, and the line before this comment has recorded the
		// mistake. The empty text, which is valid, takes its place. So the caller can still build a
		// gateway and find more mistakes in the configuration.
		c.ProblemTypes = ""
	}
}

// AuditFile returns the path of the audit log.
func (c *Config) AuditFile() string { return c.filePath(c.Audit.File) }

// AuditKey reads the secret key with which the audit log makes its hashes, for example of a
// subject.
func (c *Config) AuditKey() ([]byte, error) {
	return c.readSecret("audit.key_file", c.Audit.KeyFile, 32)
}
