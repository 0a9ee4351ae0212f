package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func toxic(toxics ...string) func(*lab) {
	return func(l *lab) { l.faultProxy.open(toxics...) }
}

// networkFaults contains the faults of the network between the API and the issuer.
func networkFaults() []fault {
	return []fault{
		{name: "connection refused", beginFault: func(l *lab) { l.faultProxy.shut() }},
		{name: "connection reset", beginFault: toxic(`{"type":"reset_peer","attributes":{"timeout":0}}`)},
		{name: "connection closed within the body", beginFault: toxic(`{"type":"limit_data","attributes":{"bytes":200}}`)},
		{name: "no response ever arrives", beginFault: toxic(`{"type":"timeout","attributes":{"timeout":0}}`)},
		{name: "5 s latency", beginFault: toxic(`{"type":"latency","attributes":{"latency":5000}}`)},
		{name: "slow loris: 7 bytes every 200 ms", beginFault: toxic(`{"type":"slicer","attributes":{"average_size":7,"delay":200000}}`)},
		{name: "slow upload: 10 bytes every 400 ms", beginFault: toxic(`{"type":"slicer","stream":"upstream","attributes":{"average_size":10,"delay":400000}}`)},
		{name: "the host name can't be resolved", newLab: newNamedLab, beginFault: breakName, stopFault: mendName},
		restartFault(),
	}
}

// restartFault returns a fault in which the issuer stops and starts again, like a new process with
// the same keys and tokens.
func restartFault() fault {
	return fault{
		name: "the issuer restarts",
		beginFault: func(l *lab) {
			l.faultProxy.forwardTo("127.0.0.1:1") // nothing listens at this address
		},
		stopFault: func(l *lab) {
			l.faultProxy.forwardTo(l.serve())
		},
	}
}

// nameServer is a DNS server that knows one name, the host name of the issuer. If broken is true,
// it answers that the name does not exist.
type nameServer struct {
	conn   net.PacketConn
	ip     net.IP
	broken atomic.Bool
}

const issuerName = "login.chaos.test"

// newNamedLab returns a test environment (type lab) whose issuer has a host name instead of an IP
// address. A DNS server of the test resolves this name.
func newNamedLab(t testing.TB, p protocol) *lab {
	t.Helper()
	g := newFaultProxy(t)
	host, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	conn, err := config.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, ip: net.ParseIP(host).To4()}
	t.Cleanup(func() { _ = conn.Close() })
	go s.serve()
	scheme := "http://"
	if p == http2 {
		scheme = "https://"
	}
	l := newLabAt(t, g, scheme+net.JoinHostPort(issuerName, port))
	l.protocol = p
	g.forwardTo(l.serve())
	l.client = s.client()
	l.nameServer = s
	return l
}

// nameServer.client returns an HTTP client that resolves host names with this DNS server only. The
// client keeps no connections open, so each of its requests resolves the name again.
func (s *nameServer) client() *http.Client {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
	dialer := &net.Dialer{Timeout: 2 * time.Second, Resolver: resolver}
	pool := x509.NewCertPool()
	pool.AddCert(trusted.cert)
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
	}}
}

func (s *nameServer) serve() {
	buffer := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := s.reply(buffer[:n]); reply != nil {
			_, _ = s.conn.WriteTo(reply, from)
		}
	}
}

// nameServer.reply returns the response of the DNS server to one query (RFC 1035, section 4).
func (s *nameServer) reply(query []byte) []byte {
	const header = 12
	var labels []string
	at := header
	for at < len(query) && query[at] != 0 {
		end := at + 1 + int(query[at])
		if end > len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	// the name in a DNS query is followed by five bytes: the zero byte that ends the name, two
	// bytes for the type and two for the class
	if at += 5; at > len(query) {
		return nil
	}
	reply := append([]byte(nil), query[:at]...)
	// these flags say that this DNS message is a response, and that the server resolves names
	// recursively
	reply[2], reply[3] = 0x81, 0x80
	clear(reply[6:header])
	if s.broken.Load() || strings.Join(labels, ".") != issuerName {
		reply[3] |= 3 // NXDOMAIN means that the name does not exist
		return reply
	}
	if reply[at-3] == 1 { // the DNS query asks for an A record
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, s.ip...)
	}
	return reply
}

func breakName(l *lab) { l.nameServer.broken.Store(true) }

func mendName(l *lab) { l.nameServer.broken.Store(false) }
