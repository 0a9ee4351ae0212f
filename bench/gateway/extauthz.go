package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// grpcGenerator is a loadGenerator that calls the ext_authz endpoint of xenagate over gRPC, as the
// proxy Envoy does. It encodes the gRPC messages without a gRPC library: a message consists of only
// a few strings, and a library would slow the client down.
type grpcGenerator struct {
	url       string
	transport *http.Transport
	messages  [][]byte
}

func (b *bench) extAuthz() error {
	fields := func(token string) map[string]string {
		return map[string]string{
			"authorization": "Bearer " + token, "accept": "application/json", ":authority": "api.example",
			"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		}
	}
	ours := func(int) (loadGenerator, error) {
		c := &grpcGenerator{url: "http://" + b.endpointAddrs["ext_authz"] + "/envoy.service.auth.v3.Authorization/Check"}
		c.transport = &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
		c.transport.Protocols.SetUnencryptedHTTP2(true)
		for _, token := range b.tokens {
			c.messages = append(c.messages, checkRequest("GET", "/Api/User/FiscalSetup", "api.example", fields(token)))
		}
		return c, nil
	}
	return b.measure(comparison{
		name: "ext_authz", unit: "x-empty", ours: ours, other: b.http1(b.emptyAddr, b.requests("/", "Host: a\r\n")),
		program: "xenagate", otherProgram: "empty",
	})
}

func (c *grpcGenerator) call(_, n int) error {
	message := c.messages[n%len(c.messages)]
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url, bytes.NewReader(message))
	if err != nil {
		return err
	}
	r.Header["Content-Type"] = []string{"application/grpc"}
	r.Header["Te"] = []string{"trailers"}
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	switch {
	case err != nil:
		return err
	case res.Trailer.Get("Grpc-Status") != "0":
		return fmt.Errorf("gRPC status %q", res.Trailer.Get("Grpc-Status"))
	case !bytes.Contains(bytes.ToLower(body), []byte("x-auth-user")):
		return errors.New("the gateway let a request through without its user, or refused it")
	}
	return nil
}

// Close closes the gRPC connection to xenagate.
func (c *grpcGenerator) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// checkRequest returns an encoded message of the type envoy.service.auth.v3.CheckRequest. Before
// the message it writes the prefix of five bytes that each gRPC message needs.
func checkRequest(method, path, host string, fields map[string]string) []byte {
	var http []byte
	http = appendString(http, 2, method)
	for name, value := range fields {
		http = appendString(http, 3, string(appendString(appendString(nil, 1, name), 2, value)))
	}
	http = appendString(http, 4, path)
	http = appendString(http, 5, host)
	http = appendString(http, 6, "http")
	http = appendString(http, 10, "HTTP/1.1")
	request := appendString(nil, 2, string(http))       // http is field 2 of AttributeContext.Request
	attributes := appendString(nil, 4, string(request)) // request is field 4 of AttributeContext
	message := appendString(nil, 1, string(attributes)) // attributes is field 1 of CheckRequest
	// The prefix of a gRPC message has five bytes. One byte says that the message is not
	// compressed, and four bytes contain its length.
	framed := append(make([]byte, 5), message...)
	binary.BigEndian.PutUint32(framed[1:5], uint32(len(message)))
	return framed
}

// appendString appends a string to an encoded Protocol Buffers message. The parameter field is the
// field number of the string.
func appendString(to []byte, field int, value string) []byte {
	to = binary.AppendUvarint(to, uint64(field)<<3|2)
	to = binary.AppendUvarint(to, uint64(len(value)))
	return append(to, value...)
}
