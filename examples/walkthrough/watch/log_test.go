package watch_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// After each change of an API call, the event stream sends an event with the changed call. Each
// line of the HTML is a line of the event.
func TestStream(t *testing.T) {
	t.Parallel()
	var log watch.Log
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Stream(w, r, func(out io.Writer, c *watch.Call) error {
			_, err := fmt.Fprintf(out, "%s\nstatus %d", c.ID, c.Status)
			return err
		})
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // after reading, no error of Close matters
	lines := bufio.NewScanner(response.Body)
	for _, c := range []watch.Call{{ID: "a"}, {ID: "a", Status: 200}, {ID: "b", Status: 401}} {
		log.Show(&c)
		for _, want := range []string{"event: call", "data: " + c.ID, fmt.Sprintf("data: status %d", c.Status), ""} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("call %s: the stream has %q, want %q", c.ID, lines.Text(), want)
			}
		}
	}
}

// A log contains only the last ten API calls. A changed call replaces the earlier call with the
// same ID.
func TestLog(t *testing.T) {
	t.Parallel()
	var log watch.Log
	for i := range 15 {
		log.Show(&watch.Call{ID: fmt.Sprint(i)})
		log.Show(&watch.Call{ID: fmt.Sprint(i), Done: true})
	}
	var ids []string
	for _, c := range log.Calls() {
		if ids = append(ids, c.ID); !c.Done {
			t.Errorf("call %s is not the latest state", c.ID)
		}
	}
	if want := []string{"14", "13", "12", "11", "10", "9", "8", "7", "6", "5"}; !slices.Equal(ids, want) {
		t.Errorf("the log has %v, want %v", ids, want)
	}
}
