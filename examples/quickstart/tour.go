package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// place is a path of the API. The tour sends several requests to this path.
type place struct {
	path string
	// about is the requirement of the path. If the same path occurs several times in the tour,
	// about says what is different this time.
	about string
	steps []step
}

// step is one request of the tour to the path of a place.
type step struct {
	label string // label says in words what the request contains
	// authorization contains the values of the Authorization fields of the request; it may be nil
	authorization []string
	want          answer
	before        func() // the tour calls this function before the request, unless it is nil
	// client adds its token and a proof to the request, unless it is nil
	client *xenaauthtest.Client
}

// The function call returns a step without a function before its request.
func call(label string, authorization []string, want answer) step {
	return step{label: label, authorization: authorization, want: want}
}

// The method after returns s with f as the function that runs before the request.
func (s step) after(event func()) step {
	s.before = event
	return s
}

// The method named by returns s with client as the client that sends the request.
func (s step) by(client *xenaauthtest.Client) step {
	s.client = client
	return s
}

// answer is the part of a response that the tour prints.
type answer struct {
	status int
	reason xenaauth.Reason // reason is "" if the request was not refused
	detail string          // detail is the shortened challenge, or the field Retry-After
	user   string          // user is the subject of the user that the handler got
}

// row is a row of the table that the tour prints: a request and the response to it.
type row struct {
	place place
	step  step
	got   answer
}

// The method expected reports whether the response was as expected.
func (r row) expected() bool { return r.got == r.step.want }

// The function tour sends the requests of all places to the API at base.
func tour(ctx context.Context, base string, places []place) ([]row, error) {
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	var rows []row
	for _, p := range places {
		for _, s := range p.steps {
			if s.before != nil {
				s.before()
			}
			client := &http.Client{Timeout: 20 * time.Second, Transport: transport}
			if s.client != nil {
				s.client.Transport = transport
				client.Transport = s.client
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

// The function ask sends the request of one step.
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
	defer response.Body.Close() //nolint:errcheck // the body was already read completely
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
	_ = json.Unmarshal(body, &said) // the response of a public route need not be JSON
	a = answer{status: response.StatusCode, reason: said.Reason, user: said.User.Subject}
	a.detail = abridged(response.Header["Www-Authenticate"])
	if after := response.Header.Get("Retry-After"); after != "" {
		a.detail = "Retry-After: " + after
	}
	return a, nil
}

// The function abridged returns a shortened challenge: the first challenge that contains an error,
// or the first challenge if no challenge contains an error. It leaves out some parameters, so that
// the table is not too wide.
func abridged(challenges []string) string {
	if len(challenges) == 0 {
		return ""
	}
	told := challenges[0]
	if i := slices.IndexFunc(challenges, hasError); i >= 0 {
		told = challenges[i]
	}
	left := regexp.MustCompile(` (realm|error_description|algs)="[^"]*",?`).ReplaceAllString(told, "")
	return strings.TrimSuffix(left, ",")
}

func hasError(challenge string) bool { return strings.Contains(challenge, " error=") }
