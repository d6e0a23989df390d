package dbtable

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"

	"aliasmx/internal/table"
)

// TLSNames is what a type calls the parameters of TLS.
type TLSNames struct{ CAFile, CADir, Cert, Key, Ciphers string }

// TLS reads the parameters, and tells whether there is any. Whether certificates are
// checked is the type's business.
func (c *Config) TLS(n TLSNames) (conf *tls.Config, set bool) {
	conf = &tls.Config{MinVersion: tls.VersionTLS12}
	c.Refuse(n.Ciphers, "is not supported: the TLS library here chooses safe ciphers itself")
	file, dir := c.Str(n.CAFile, ""), c.Str(n.CADir, "")
	cert, key := c.Str(n.Cert, ""), c.Str(n.Key, "")
	if file != "" || dir != "" {
		conf.RootCAs = x509.NewCertPool()
	}
	if file != "" {
		c.addCA(n.CAFile, conf.RootCAs, file)
	}
	if dir != "" {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			c.Fail(n.CADir, "%s: no certificates in it", dir)
		}
		for _, f := range files {
			if pem, err := os.ReadFile(f); err == nil {
				conf.RootCAs.AppendCertsFromPEM(pem)
			}
		}
	}
	if cert != "" {
		if key == "" {
			key = cert
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			c.Fail(n.Cert, "%v", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	} else if key != "" {
		c.Fail(n.Key, "is a key without a certificate; set %s", n.Cert)
	}
	return conf, file != "" || dir != "" || cert != ""
}

func (c *Config) addCA(name string, pool *x509.CertPool, file string) {
	pem, err := os.ReadFile(file)
	switch {
	case err != nil:
		c.Fail(name, "%v", table.FileError("open", file, err))
	case !pool.AppendCertsFromPEM(pem):
		c.Fail(name, "%s: no certificate in it", file)
	}
}
