package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// forwarder.answerFailure responds to a client's request if the gateway has no response of the
// upstream that it can forward. The error can contain internal addresses, so the client gets a
// fixed text, and the log gets a word for the kind of the error. answerFailure is the ErrorHandler
// of the ReverseProxy. The argument rw is the response writer that forwarder.forward has passed to
// the ReverseProxy.
func (f *forwarder) answerFailure(rw http.ResponseWriter, r *http.Request, err error) {
	w, ok := rw.(*response)
	if !ok {
		panic(fmt.Sprintf("xenagate: ReverseProxy wrapped the response in a %T", rw))
	}
	rec := w.rec
	tooLarge, isTooLarge := errors.AsType[*http.MaxBytesError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case isTooLarge && tooLarge != nil:
		w.refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "The request is too large.")
	case w.body != nil && w.body.readFailed.Load():
		w.refuse(http.StatusRequestTimeout, reasonBody, "The request's body broke off or came too slowly.")
	case r.Context().Err() != nil:
		w.refuse(http.StatusBadGateway, reasonClientGone, "The request was given up.")
	case isTimeout && timeout.Timeout():
		rec.cause = "timeout"
		f.metrics.upstreamFailed(rec.upstream, rec.cause)
		w.refuse(http.StatusGatewayTimeout, reasonUpstreamTimeout, "The service behind the gateway didn't answer in time.")
	default:
		rec.cause = errorKind(err)
		f.metrics.upstreamFailed(rec.upstream, rec.cause)
		w.refuse(http.StatusBadGateway, reasonUpstreamFailed, "The service behind the gateway can't be reached.")
	}
}

// errorKind returns a word for a connection error, for example "refused".
func errorKind(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	text := err.Error()
	switch {
	case dns:
		return "name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "closed"
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return "tls"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "other"
}
