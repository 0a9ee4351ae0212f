package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxFile is the largest size, in bytes, of a file that this package reads.
const maxFile = 4 << 20

// readFile reads a file. The text of an error contains only the name of the file, without folders.
// If the file is longer than maxFile bytes, readFile returns an error and does not read the rest.
// So it ends also for a device or a pipe, whose size is not known in advance.
func readFile(path string) ([]byte, error) {
	data, err := readBounded(path)
	if err != nil {
		if inner, ok := errors.AsType[*os.PathError](err); ok {
			err = inner.Err
		}
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return data, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("too long")
	}
	return data, err
}

// Config.readNamedFile reads a file whose path is in the configuration. Its errors contain the path
// as the configuration has it.
func (c *Config) readNamedFile(path string) ([]byte, error) {
	data, err := readBounded(c.filePath(path))
	if err != nil {
		if inner, ok := errors.AsType[*os.PathError](err); ok {
			err = inner.Err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Config.readSecret reads a file with a secret. If the file ends in a line break, readSecret
// removes the line break. It returns an error if the secret is shorter than atLeast bytes.
func (c *Config) readSecret(key, path string, atLeast int) ([]byte, error) {
	data, err := c.readNamedFile(path)
	if err != nil {
		return nil, c.AddPlace(key, err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if len(text) < atLeast {
		return nil, c.AddPlace(key, fmt.Errorf("%s: want at least %d bytes", path, atLeast))
	}
	return []byte(text), nil
}

// RevokeSecret returns the secret that a request to /revoke must contain. RevokeSecret returns nil
// if the configuration names no file with this secret.
func (c *Config) RevokeSecret() ([]byte, error) {
	if c.Admin == nil || c.Admin.RevokeSecretFile == "" {
		return nil, nil
	}
	return c.readSecret("admin.revoke_secret_file", c.Admin.RevokeSecretFile, 32)
}

// RedisSecrets returns the secrets that all gateways of a fleet share, and the password of Redis.
// If it returns an error, the result contains random secrets in place of the wrong ones. It must be
// called only if Redis is configured.
func (c *Config) RedisSecrets() (secrets [][]byte, password string, err error) {
	var errs []error
	for i, file := range c.Redis.SecretFiles {
		s, err := c.readSecret("redis.secret_files."+strconv.Itoa(i), file, 32)
		errs = append(errs, err)
		if err != nil {
			// The secret is too short or can't be read, and err says so. A random secret takes its
			// place, so that the rest of the configuration can be checked.
			s = []byte(rand.Text() + rand.Text())
		}
		secrets = append(secrets, s)
	}
	if file := c.Redis.PasswordFile; file != "" {
		p, err := c.readSecret("redis.password_file", file, 1)
		errs = append(errs, err)
		password = string(p)
	}
	return secrets, password, errors.Join(errs...)
}

// AssertionKeys reads the private keys that sign assertions, the gateway's signed tokens for
// services. If it returns an error, it also returns a new random key, so that the rest of the
// configuration can be checked.
func (c *Config) AssertionKeys() (keys []crypto.Signer, err error) {
	if c.Identity.Assertion == nil {
		return nil, nil
	}
	var errs []error
	for i, file := range c.Identity.Assertion.KeyFiles {
		key := "identity.assertion.key_files." + strconv.Itoa(i)
		data, err := c.readNamedFile(file)
		if err != nil {
			errs = append(errs, c.AddPlace(key, err))
			continue
		}
		k, err := parsePrivateKey(data)
		if err != nil {
			errs = append(errs, c.AddPlace(key, fmt.Errorf("%s: %w", file, err)))
			continue
		}
		keys = append(keys, k)
	}
	if err = errors.Join(errs...); err != nil {
		unknown, errUnknown := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return []crypto.Signer{unknown}, errors.Join(err, errUnknown)
	}
	return keys, nil
}

// CheckFiles reads each file with a secret, a private key or a certificate whose path is in the
// configuration. It does not read the file with the secret for introspection, because
// [Config.Validator] reads it. It reads the certificates of TLS only if both tls.cert_file and
// tls.key_file are set. The slice readableSettings contains the names of the settings whose files
// could be read and have no mistake, for example "audit.key_file". If one file of Redis has a
// mistake, readableSettings contains none of the settings of Redis. The error lists all mistakes.
func (c *Config) CheckFiles() (readableSettings []string, err error) {
	var errs []error
	note := func(err error, keys ...string) {
		if err == nil {
			readableSettings = append(readableSettings, keys...)
		}
		errs = append(errs, err)
	}
	if c.Admin != nil && c.Admin.RevokeSecretFile != "" {
		_, err := c.RevokeSecret()
		note(err, "admin.revoke_secret_file")
	}
	if r := c.Redis; r != nil {
		_, _, err := c.RedisSecrets()
		var keys []string
		if len(r.SecretFiles) > 0 {
			keys = append(keys, "redis.secret_files")
		}
		if r.PasswordFile != "" {
			keys = append(keys, "redis.password_file")
		}
		note(err, keys...)
	}
	if t := c.TLS; t != nil && t.CertFile != "" && t.KeyFile != "" {
		_, err := c.Certificate()
		note(err, "tls.cert_file", "tls.key_file")
		if _, err = c.ClientCAs(); len(t.ClientCAFiles) > 0 {
			note(err, "tls.client_ca_files")
		}
	}
	if a := c.Audit; a != nil && a.KeyFile != "" {
		_, err := c.AuditKey()
		note(err, "audit.key_file")
	}
	if a := c.Identity.Assertion; a != nil && len(a.KeyFiles) > 0 {
		_, err := c.AssertionKeys()
		note(err, "identity.assertion.key_files")
	}
	return readableSettings, errors.Join(errs...)
}

// parsePrivateKey parses a private key in the format PKCS #8 or SEC 1. The program openssl writes
// both formats.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New("no private key in PEM")
		}
		switch block.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				// The error does not contain the error of package x509, because that error could
				// contain a part of the private key.
				return nil, errors.New("the private key is malformed")
			}
			if s, ok := k.(crypto.Signer); ok {
				return s, nil
			}
			return nil, errors.New("the key can't sign")
		case "EC PRIVATE KEY":
			k, err := x509.ParseECPrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the private key is malformed")
			}
			return k, nil
		case "EC PARAMETERS": // the program openssl ecparam writes this block before the key
		default:
			return nil, fmt.Errorf("%s in place of a private key", strings.ToLower(block.Type))
		}
	}
}
