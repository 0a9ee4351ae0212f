package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/xenaauth/xenaauth/adapters/auditlog"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const auditKey = "0123456789abcdef0123456789abcdef"

// auditRecords returns the records in a file of the audit log.
func auditRecords(t *testing.T, path string) (records []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		records = append(records, record)
	}
	return records
}

// The audit log contains a record for each decision about a request. This includes allowed
// requests, and requests about which another proxy asks the gateway. A record contains a keyed hash
// of the user's subject, but neither the subject itself nor the token. After SIGHUP, the records
// are written to a new file.
func TestAuditLog(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	asks := "forward_auth: {listen: \"127.0.0.1:0\", " +
		"endpoints: [{path: /verify, dialect: nginx, trusted_peers: [127.0.0.0/8]}]}\n"
	p := startGateway(t, commonConfig(issuer, service)+asks+"audit: {file: audit.log, key_file: secret}\n",
		map[string]string{"secret": auditKey + "\n"})
	path := filepath.Join(p.dir, "audit.log")
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "ann-the-user", ClientID: "shop"}))
	sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token)
	sendRequest(t, "GET", p.url("proxy", "/Api/Admin?access_token=x"), token)
	sendRequest(t, "GET", p.url("proxy", "/nowhere"), "")
	sendRequest(t, "GET", p.url("proxy", "/open/"), "")
	sendRequest(t, "GET", p.url("forward_auth", "/verify"), token, "X-Original-Method: GET", "X-Original-Uri: /me",
		"X-Original-Host: api.example")
	hash := auditlog.SubjectHash([]byte(auditKey), issuer.URL(), "ann-the-user")
	records := auditRecords(t, path)
	for i, want := range []map[string]any{
		{"outcome": "allowed", "route": "GET /Api/Read", "method": "GET", "client_id": "shop", "sub_hash": hash},
		{"outcome": "refused", "route": "GET /Api/Admin", "reason": "insufficient_scope", "status": 403.0,
			"sub_hash": hash, "token_in_query": true},
		{"outcome": "refused", "reason": "no_rule", "status": 403.0},
		{"outcome": "anonymous", "route": "/open/"},
		{"outcome": "allowed", "route": "GET /me", "sub_hash": hash},
	} {
		if len(records) <= i {
			t.Fatalf("%d records", len(records))
		}
		for field, value := range want {
			if records[i][field] != value {
				t.Errorf("record %d: %s is %v, want %v", i, field, records[i][field], value)
			}
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"ann-the-user", token, auditKey} {
		if strings.Contains(string(text), never) {
			t.Errorf("the audit log contains %q", never)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	sendRequest(t, "GET", p.url("proxy", "/me"), token)
	if n := len(auditRecords(t, path+".1")); n != 6 {
		t.Errorf("%d records before SIGHUP", n)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "a new file", func() bool { _, err := os.Stat(path); return err == nil })
	sendRequest(t, "GET", p.url("proxy", "/me"), token)
	if n := len(auditRecords(t, path)); n != 1 {
		t.Errorf("%d records after SIGHUP", n)
	}
}

// If the audit log can't be written, requests are still served. One line of the log reports the
// failure, and a metric counts the lost records.
func TestAuditLogThatFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+"audit: {file: /dev/full, key_file: secret}\n", map[string]string{"secret": auditKey})
	for range 3 {
		if a := sendRequest(t, "GET", p.url("proxy", "/open/"), ""); a.status != 200 {
			t.Errorf("status %d", a.status)
		}
	}
	p.waitForLog("the audit log fails, records are lost", "no space left")
	if n := p.lines("audit log"); n != 1 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(sendRequest(t, "GET", p.url("admin", "/metrics"), "").body, "xenagate_audit_records_lost_total 3\n") {
		t.Error("the lost records are not counted")
	}
}

// The command xenagate -check fails for a mistake in the setting audit or problem_types. Its output
// reports all mistakes in these settings.
func TestAuditMistakes(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	for content, want := range map[string]string{
		"audit: {key_file: short}\nproblem_types: /problems#\n": "gate.yaml:15: audit.file: is missing\n" +
			"gate.yaml:16: problem_types: want an absolute URI, such as https://api.example/problems#",
		"audit: {file: a}\n":                  "gate.yaml:15: audit.key_file: is missing",
		"audit: {file: a, key_file: short}\n": "gate.yaml:15: audit.key_file: short: want at least 32 bytes",
	} {
		if status, written := runCheck(t, commonConfig(issuer, service)+content, map[string]string{"short": "s"}); status != 1 ||
			!strings.Contains(written, want) {
			t.Errorf("%d: %q is missing in\n%s", status, want, written)
		}
	}
}

// With the setting problem_types, the JSON body of a refusal has a member with the name "type". The
// value of this member is a URI that ends in the reason of the refusal.
func TestProblemTypes(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+"problem_types: https://api.example/problems#\n", nil)
	for path, reason := range map[string]string{"/Api/Read": "missing_token", "/nowhere": "no_rule"} {
		if a := sendRequest(t, "GET", p.url("proxy", path), ""); !strings.Contains(a.body, `"type":"https://api.example/problems#`+reason+`"`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}
