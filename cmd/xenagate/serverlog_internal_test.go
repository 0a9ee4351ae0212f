package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// In each minute, the log has one record for each of the first five failed TLS handshakes, and then
// only the number of the others. All other lines of net/http are written to the log.
func TestServerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newServerLog(slog.New(slog.NewJSONHandler(&out, nil)))
		for range 100 {
			l.Printf("http: TLS handshake error from 192.0.2.1:50000: EOF")
			l.Printf("http: Accept error: too many open files")
		}
		if n := strings.Count(out.String(), `"msg":"http: TLS handshake error`); n != 5 {
			t.Errorf("%d lines about handshakes", n)
		}
		if n := strings.Count(out.String(), "Accept error"); n != 100 {
			t.Errorf("%d other lines", n)
		}
		out.Reset()
		time.Sleep(time.Minute)
		l.Printf("http: TLS handshake error from 192.0.2.1:50001: EOF")
		if s := out.String(); !strings.Contains(s, `"count":95`) || !strings.Contains(s, "50001") {
			t.Error(s)
		}
	})
}
