package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// TestTokenRunsUntilItIsInterrupted configures a service with the variables that the command
// "token" prints. The service accepts the token while the command runs. After an interrupt, the
// command ends with the exit status 0. Standard error contains no part of the token.
func TestTokenRunsUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stdout, out := io.Pipe()
	stderr, errOut := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"token", "--subject", "17"}, strings.NewReader(""), out, errOut)
	}()
	token, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "The issuer runs until") {
		if leak := leakedPart(token, lines.Text()); leak != "" {
			t.Errorf("standard error has %q of the token: %s", leak, lines.Text())
		}
		if name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "="); ok {
			t.Setenv(name, value)
		}
	}
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	user, err := v.Validate(t.Context(), strings.TrimSpace(token))
	if err != nil {
		t.Fatal(err)
	}
	if user.Subject() != "17" {
		t.Errorf("sub %q", user.Subject())
	}
	interrupt()
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}
