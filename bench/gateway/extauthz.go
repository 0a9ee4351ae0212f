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

// grpcCaller calls the ext_authz endpoint as Envoy does. It encodes the gRPC message itself,
// because the message consists of a few strings and a gRPC library would slow the client down.
type grpcCaller struct {
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
	ours := func(int) (caller, error) {
		c := &grpcCaller{url: "http://" + b.doors["ext_authz"] + "/envoy.service.auth.v3.Authorization/Check"}
		c.transport = &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
		c.transport.Protocols.SetUnencryptedHTTP2(true)
		for _, token := range b.tokens {
			c.messages = append(c.messages, checkRequest("GET", "/Api/User/FiscalSetup", "api.example", fields(token)))
		}
		return c, nil
	}
	return b.measure(comparison{
		name: "ext_authz", unit: "x-empty", ours: ours, other: b.http1(b.empty, b.requests("/", "Host: a\r\n")),
		program: "xenagate", otherProgram: "empty",
	})
}

func (c *grpcCaller) call(_, n int) error {
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

// Close closes the gRPC connection to the server.
func (c *grpcCaller) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// checkRequest returns an encoded envoy.service.auth.v3.CheckRequest, after the prefix that gRPC
// writes before each message.
func checkRequest(method, path, host string, fields map[string]string) []byte {
	var http []byte
	http = text(http, 2, method)
	for name, value := range fields {
		http = text(http, 3, string(text(text(nil, 1, name), 2, value)))
	}
	http = text(http, 4, path)
	http = text(http, 5, host)
	http = text(http, 6, "http")
	http = text(http, 10, "HTTP/1.1")
	request := text(nil, 2, string(http))       // field 2 of AttributeContext.Request is named http
	attributes := text(nil, 4, string(request)) // field 4 of AttributeContext is named request
	message := text(nil, 1, string(attributes)) // field 1 of CheckRequest is named attributes
	// The prefix of a gRPC message has five bytes. One byte says that the message is not
	// compressed, and four bytes contain its length.
	framed := append(make([]byte, 5), message...)
	binary.BigEndian.PutUint32(framed[1:5], uint32(len(message)))
	return framed
}

// The function text appends a string field to a message in the encoding of Protocol Buffers. The
// parameter field is the number of the string field.
func text(to []byte, field int, value string) []byte {
	to = binary.AppendUvarint(to, uint64(field)<<3|2)
	to = binary.AppendUvarint(to, uint64(len(value)))
	return append(to, value...)
}
