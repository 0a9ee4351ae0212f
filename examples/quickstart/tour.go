package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
)

// place is one path on the tour, asked for in several ways.
type place struct {
	path  string
	about string // what the path requires, or what is going on
	steps []step
}

// step is one request at a place.
type step struct {
	label         string   // what the request brings, in words
	authorization []string // the lines of the Authorization field, nil for none
	want          answer
	before        func() // what happens just before, or nil
}

// call is a step without preparation.
func call(label string, authorization []string, want answer) step {
	return step{label: label, authorization: authorization, want: want}
}

// after is s with something that happens just before.
func (s step) after(event func()) step {
	s.before = event
	return s
}

// answer is what is told of a response.
type answer struct {
	status int
	reason xenaauth.Reason // "" for a request that was let through
	detail string          // the challenge, abridged, or Retry-After
	user   string          // whom the handler saw
}

// row is a step that was made.
type row struct {
	place place
	step  step
	got   answer
}

// expected reports whether the answer is what it should be.
func (r row) expected() bool { return r.got == r.step.want }

// tour makes the requests of all places to the API at base.
func tour(ctx context.Context, base string, places []place) ([]row, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var rows []row
	for _, p := range places {
		for _, s := range p.steps {
			if s.before != nil {
				s.before()
			}
			got, err := ask(ctx, client, base+p.path, s.authorization)
			if err != nil {
				return nil, fmt.Errorf("the tour ends early: %w", err)
			}
			rows = append(rows, row{place: p, step: s, got: got})
		}
	}
	return rows, nil
}

// ask makes one request.
func ask(ctx context.Context, client *http.Client, url string, authorization []string) (a answer, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return a, err
	}
	if authorization != nil {
		request.Header["Authorization"] = authorization
	}
	response, err := client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return a, err
	}
	var said struct {
		Reason xenaauth.Reason `json:"reason"`
		User   struct {
			Subject string `json:"sub"`
		} `json:"user"`
	}
	_ = json.Unmarshal(body, &said) // open routes answer no JSON, and nothing of the kind
	a = answer{status: response.StatusCode, reason: said.Reason, user: said.User.Subject}
	a.detail = abridged(response.Header.Get("WWW-Authenticate"))
	if after := response.Header.Get("Retry-After"); after != "" {
		a.detail = "Retry-After: " + after
	}
	return a, nil
}

// abridged is a challenge without its realm and description, which would make the table too wide.
func abridged(challenge string) string {
	left := regexp.MustCompile(` (realm|error_description)="[^"]*",?`).ReplaceAllString(challenge, "")
	return strings.TrimSuffix(left, ",")
}
