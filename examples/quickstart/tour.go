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

// tourSection is a section of the tour: a path of the API, and the requests that the tour sends to
// this path.
type tourSection struct {
	path string
	// explanation says what a request to the path requires. If several sections of the tour have
	// the same path, it says what is different in this section.
	explanation string
	steps       []tourStep
}

// tourStep is one request of the tour, with the expected response.
type tourStep struct {
	label string // label says in words which credentials the request contains
	// authorization contains the values of the request's Authorization fields; it may be nil
	authorization []string
	want          tourAnswer
	// if prepare is not nil, the tour calls it before it sends the request
	prepare func()
	// if client is not nil, it sends the request, with its token and a DPoP proof
	client *xenaauthtest.Client
}

// newStep returns one request of the tour. Nothing has to happen before this request, so the field
// prepare of the result is nil.
func newStep(label string, authorization []string, want tourAnswer) tourStep {
	return tourStep{label: label, authorization: authorization, want: want}
}

// tourStep.prepareWith returns a copy of the step. The tour calls the function action before it
// sends the request of this copy.
func (s tourStep) prepareWith(action func()) tourStep {
	s.prepare = action
	return s
}

// tourStep.sendWith returns a copy of the step. The given client sends the request of this copy.
func (s tourStep) sendWith(client *xenaauthtest.Client) tourStep {
	s.client = client
	return s
}

// tourAnswer contains what the tour prints about a response.
type tourAnswer struct {
	status int
	// reason is the reason of a refusal; it is "" if the request was not refused
	reason xenaauth.Reason
	// detail is the shortened challenge of a refusal, or the header field Retry-After
	detail string
	user   string // user is the subject of the user that the handler of the API got
}

// tableRow is a line of the table that the tour prints: a request and the response to it.
type tableRow struct {
	place tourSection
	step  tourStep
	got   tourAnswer
}

// tableRow.isExpected reports whether the API responded to the request as expected.
func (r tableRow) isExpected() bool { return r.got == r.step.want }

// runTour sends all requests of the tour to the API at the URL base, and returns the responses.
func runTour(ctx context.Context, base string, places []tourSection) ([]tableRow, error) {
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	var rows []tableRow
	for _, p := range places {
		for _, s := range p.steps {
			if s.prepare != nil {
				s.prepare()
			}
			client := &http.Client{Timeout: 20 * time.Second, Transport: transport}
			if s.client != nil {
				s.client.Transport = transport
				client.Transport = s.client
			}
			got, err := sendRequest(ctx, client, base+p.path, s.authorization)
			if err != nil {
				return nil, fmt.Errorf("the tour ends early: %w", err)
			}
			rows = append(rows, tableRow{place: p, step: s, got: got})
		}
	}
	return rows, nil
}

// sendRequest sends one request of the tour and returns the response.
func sendRequest(ctx context.Context, client *http.Client, url string, authorization []string) (a tourAnswer, err error) {
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
	// the response of a public route need not be JSON, so an error of Unmarshal is not a mistake
	_ = json.Unmarshal(body, &said)
	a = tourAnswer{status: response.StatusCode, reason: said.Reason, user: said.User.Subject}
	a.detail = shortenChallenge(response.Header["Www-Authenticate"])
	if after := response.Header.Get("Retry-After"); after != "" {
		a.detail = "Retry-After: " + after
	}
	return a, nil
}

// shortenChallenge returns a shortened challenge (WWW-Authenticate) for the table that the tour
// prints. It chooses the first challenge with an error, or the first challenge if none has an
// error. It leaves some parameters out, so that the table is not too wide.
func shortenChallenge(challenges []string) string {
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
