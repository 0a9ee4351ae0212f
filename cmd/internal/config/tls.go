package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
)

// TLS is the section tls of the configuration file. It configures TLS on the gateway's listener for
// clients.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFiles are files with the certificates of the authorities that may issue client
	// certificates. If there are no such files, client certificates are not verified.
	ClientCAFiles []string `yaml:"client_ca_files"`
}

func (c *Config) checkTLS() {
	if c.TLS == nil {
		return
	}
	wrong := c.source.addMistakeAt
	if c.Listen == "" {
		wrong("tls", "needs listen")
	}
	if c.TLS.CertFile == "" {
		wrong("tls.cert_file", "is missing")
	}
	if c.TLS.KeyFile == "" {
		wrong("tls.key_file", "is missing")
	}
}

// Certificate reads the certificate of the listener for clients, with its chain and its private
// key. The gateway calls it again and again, to notice a new certificate.
func (c *Config) Certificate() (*tls.Certificate, error) {
	chain, errChain := c.readNamedFile(c.TLS.CertFile)
	if errChain != nil {
		errChain = c.AddPlace("tls.cert_file", errChain)
	}
	key, errKey := c.readNamedFile(c.TLS.KeyFile)
	if errKey != nil {
		errKey = c.AddPlace("tls.key_file", errKey)
	}
	if err := errors.Join(errChain, errKey); err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, c.AddPlace("tls", err) // an error of crypto/tls contains no part of a key
	}
	return &certificate, nil
}

// ClientCAs reads the certificates of the authorities that may issue client certificates. It
// returns nil if the configuration names no file with such certificates.
func (c *Config) ClientCAs() (*x509.CertPool, error) {
	if len(c.TLS.ClientCAFiles) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	var errs []error
	for i, file := range c.TLS.ClientCAFiles {
		key := "tls.client_ca_files." + strconv.Itoa(i)
		data, err := c.readNamedFile(file)
		if err == nil && !pool.AppendCertsFromPEM(data) {
			err = fmt.Errorf("%s: no certificate in PEM", file)
		}
		if err != nil {
			errs = append(errs, c.AddPlace(key, err))
		}
	}
	return pool, errors.Join(errs...)
}
