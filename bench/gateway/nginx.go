package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bench.nginx compares two nginx servers: one asks xenagate about each request, and the other
// serves each request without a check.
func (b *bench) nginx() error {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return fmt.Errorf("nginx is not installed: %w", errors.ErrUnsupported)
	}
	var ports [2]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ports[i] = l.Addr().String()
		_ = l.Close()
	}
	config := strings.NewReplacer("{dir}", b.dir, "{asking}", ports[0], "{alone}", ports[1],
		"{xenagate}", b.endpointAddrs["forward_auth"], "{service}", b.serviceAddr).Replace(nginxConfig)
	file := filepath.Join(b.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(program, "-c", file, "-p", b.dir, "-e", filepath.Join(b.dir, "nginx.err"))
	cmd.Stderr = os.Stderr
	if err := b.start("nginx", cmd); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", ports[0])
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nginx doesn't listen: %w", err)
		}
	}
	requests := b.requests("/Api/User/FiscalSetup", "Host: api.example\r\n")
	return b.measure(comparison{
		name: "nginx", unit: "x-alone", ours: b.http1(ports[0], requests), other: b.http1(ports[1], requests),
		program: "xenagate",
	})
}

const nginxConfig = `daemon off;
master_process on;
worker_processes auto;
pid {dir}/nginx.pid;
events { worker_connections 1024; }
http {
    access_log {dir}/nginx.log combined buffer=32k flush=1s;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    large_client_header_buffers 4 32k;
    keepalive_requests 100000000;
    upstream xenagate { server {xenagate}; keepalive 64; keepalive_requests 100000000; }
    upstream service { server {service}; keepalive 64; keepalive_requests 100000000; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen {alone};
        location / { proxy_pass http://service; }
    }
    server {
        listen {asking};
        location / {
            auth_request /_xenagate;
            auth_request_set $auth_user $upstream_http_x_auth_user;
            auth_request_set $auth_client $upstream_http_x_auth_client;
            auth_request_set $auth_scopes $upstream_http_x_auth_scopes;
            auth_request_set $auth_issuer $upstream_http_x_auth_issuer;
            proxy_set_header Connection "";
            proxy_set_header X-Auth-User $auth_user;
            proxy_set_header X-Auth-Client $auth_client;
            proxy_set_header X-Auth-Scopes $auth_scopes;
            proxy_set_header X-Auth-Issuer $auth_issuer;
            proxy_set_header Authorization "";
            proxy_pass http://service;
        }
        location = /_xenagate {
            internal;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-Host $host;
            proxy_set_header X-Original-URI $request_uri;
            proxy_pass_request_body off;
            proxy_pass http://xenagate/verify;
        }
    }
}
`
