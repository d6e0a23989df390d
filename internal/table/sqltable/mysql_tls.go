package sqltable

import (
	"crypto/tls"

	"aliasmx/internal/table/dbtable"
)

// mysqlTLS is nil when no tls_ parameter is set: then connections are not encrypted, as
// with mysql_table(5). Otherwise they are, or fail. Certificates are checked only with
// tls_verify_cert = yes.
func mysqlTLS(c *dbtable.Config) *tls.Config {
	verify := c.Bool("tls_verify_cert", false)
	conf, set := c.TLS(dbtable.TLSNames{
		CAFile: "tls_CAfile", CADir: "tls_CApath", Cert: "tls_cert_file", Key: "tls_key_file", Ciphers: "tls_ciphers",
	})
	if !set && !verify {
		return nil
	}
	conf.InsecureSkipVerify = !verify
	return conf
}
