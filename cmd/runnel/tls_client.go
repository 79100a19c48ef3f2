package main

import "crypto/tls"

// tlsConfig returns the configuration for a wss:// URL. The certificate of the client is read again
// for each connection, because it may have been replaced.
func (t *target) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{}
	if t.TLSCA != "" {
		authorities, err := readAuthorities("--tls-ca", t.TLSCA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = poolOf(authorities)
	}
	if t.TLSCert == "" {
		return config, nil
	}
	if _, err := readKeyPair(t.TLSCert, t.TLSKey); err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := readKeyPair(t.TLSCert, t.TLSKey)
		return &pair, err
	}
	return config, nil
}
