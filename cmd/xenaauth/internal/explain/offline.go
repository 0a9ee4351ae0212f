package explain

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
)

// keySetFile is an [http.RoundTripper] in place of the issuer. It responds to requests for one URL
// with the key set in a file, and refuses all other requests.
type keySetFile struct {
	url  string
	text []byte
}

var errOffline = errors.New("offline")

// RoundTrip implements [http.RoundTripper].
func (f keySetFile) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	if r.Method != http.MethodGet || r.URL.String() != f.url {
		return nil, errOffline
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/jwk-set+json"}},
		Body:          io.NopCloser(bytes.NewReader(f.text)),
		ContentLength: int64(len(f.text)), Request: r,
	}, nil
}

// maxKeySet is the largest size of a file with a key set, in bytes.
const maxKeySet = 4 << 20

func readKeySet(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.New("--offline: the file can't be opened")
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxKeySet+1))
	switch {
	case err != nil:
		return nil, errors.New("--offline: the file can't be read")
	case len(text) > maxKeySet:
		return nil, errors.New("--offline: the file is larger than 4 MiB")
	}
	return text, nil
}
