package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// setenv sets the given environment variables. The other environment variables that the program
// reads become empty, except ADDR, which becomes a free loopback port.
func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); name == "ADDR" || strings.HasPrefix(name, "XENA_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("ADDR", "127.0.0.1:0")
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// outputBuffer collects what a program prints. A test can wait for more output.
type outputBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // the next call of Write closes this channel
}

func newOutput() *outputBuffer { return &outputBuffer{more: make(chan struct{})} }

func (o *outputBuffer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *outputBuffer) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// outputBuffer.waitFor waits until the output matches the regular expression pattern. It returns
// the text that the first group of pattern matches.
func (o *outputBuffer) waitFor(t *testing.T, pattern string) string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		o.mu.Lock()
		text, more := o.text.String(), o.more
		o.mu.Unlock()
		if match := regexp.MustCompile(pattern).FindStringSubmatch(text); match != nil {
			return match[1]
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%s doesn't appear in:\n%s", pattern, text)
		}
	}
}

// runningProgram is the quickstart program, which a test has started.
type runningProgram struct {
	base           string // the URL of the API that the program serves
	stdout, stderr *outputBuffer
	interrupt      context.CancelFunc
	status         chan int
}

// startProgram starts the quickstart program and waits until it has printed the URL of its API.
func startProgram(t *testing.T, args ...string) *runningProgram {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	p := &runningProgram{stdout: newOutput(), stderr: newOutput(), interrupt: interrupt, status: make(chan int, 1)}
	go func() { p.status <- runProgram(ctx, args, p.stdout, p.stderr) }()
	p.base = p.stdout.waitFor(t, `API +(http://\S+)\n`)
	return p
}

// runningProgram.stop interrupts the quickstart program and returns its exit status.
func (p *runningProgram) stop() int {
	p.interrupt()
	return <-p.status
}

// sendGet sends a GET request, with a bearer token if token is not empty.
func sendGet(t *testing.T, url, token string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name   string
		env    map[string]string
		args   []string
		status int
		stderr string
	}{
		{"help", nil, []string{"-h"}, exitOK, "-once"},
		{"help with variables", nil, []string{"-h"}, exitOK, "XENA_PUBLIC_ORIGINS"},
		{"an unknown flag", nil, []string{"-twice"}, exitUsage, "-twice"},
		{"an argument", nil, []string{"once"}, exitUsage, `unexpected argument "once"`},
		{"a tour with another issuer", map[string]string{
			"XENA_ISSUER": "https://login.example",
		}, []string{"-once"}, exitUsage, "XENA_ISSUER"},
		{"no audience", map[string]string{"XENA_ISSUER": "https://login.example"}, nil, exitFailed, "Audiences"},
		{"http beyond loopback", map[string]string{
			"XENA_ISSUER": "http://login.example", "XENA_AUDIENCE": "testapi",
		}, nil, exitFailed, "Issuer"},
		{"half a client", map[string]string{
			"XENA_ISSUER": "https://login.example", "XENA_AUDIENCE": "testapi", "XENA_INTROSPECTION_CLIENT_SECRET": "hush",
		}, nil, exitFailed, "XENA_INTROSPECTION_CLIENT_ID"},
		{"no such address", map[string]string{"ADDR": "127.0.0.1:nowhere"}, nil, exitFailed, "nowhere"},
		{"no such address and another issuer", map[string]string{
			"XENA_ISSUER": "https://login.example", "XENA_AUDIENCE": "testapi", "ADDR": "127.0.0.1:nowhere",
		}, nil, exitFailed, "nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			setenv(t, c.env)
			var stdout, stderr bytes.Buffer
			if got := runProgram(t.Context(), c.args, &stdout, &stderr); got != c.status {
				t.Errorf("status %d, not %d", got, c.status)
			}
			if !strings.Contains(stderr.String(), c.stderr) || strings.Contains(stderr.String(), "hush") {
				t.Errorf("stderr:\n%s", &stderr)
			}
			if stdout.Len() > 0 {
				t.Errorf("printed:\n%s", &stdout)
			}
		})
	}
}
