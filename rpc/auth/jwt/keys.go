package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// The bounds of a key set.
const (
	// MaxKeySetBytes is how large a key set may be.
	MaxKeySetBytes = 256 << 10
	// maxKeys is how many usable keys it may have.
	maxKeys = 100
	// minRSABits and maxRSABits bound the keys of RS256 and its like (RFC 7518 §3.3).
	minRSABits, maxRSABits = 2048, 8192
)

// key is a public key of the issuer.
type key struct {
	id         string // kid; "" if it has none
	public     any
	algorithms []jose.SignatureAlgorithm // that it may be used with
	thumbprint string                    // RFC 7638
}

// keySet is the set of keys that are accepted. It does not change.
type keySet struct{ keys []key }

// parseKeySet returns the usable keys of a JSON Web Key Set. It leaves out those of unknown types,
// for encryption, or with other algorithms (RFC 7517 §5), and symmetric ones: a set that clients can
// fetch has no secrets.
func parseKeySet(text []byte) (*keySet, error) {
	if len(text) > MaxKeySetBytes {
		return nil, fmt.Errorf("the key set is larger than %d bytes", MaxKeySetBytes)
	}
	var raw struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("the key set is not JSON: %w", err)
	}
	set := &keySet{}
	for _, text := range raw.Keys {
		var parsed jose.JSONWebKey
		if parsed.UnmarshalJSON(text) != nil {
			continue
		}
		k, ok := usableKey(&parsed)
		if !ok {
			continue
		}
		if len(set.keys) == maxKeys {
			return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
		}
		set.keys = append(set.keys, k)
	}
	if len(set.keys) == 0 {
		return nil, errors.New("the key set has no usable key")
	}
	return set, nil
}

// usableKey returns the public key for signatures, if it is one.
func usableKey(parsed *jose.JSONWebKey) (key, bool) {
	k := key{id: parsed.KeyID, public: parsed.Key, algorithms: algorithmsOf(parsed.Key)}
	if parsed.Algorithm != "" {
		k.algorithms = slices.DeleteFunc(k.algorithms, func(a jose.SignatureAlgorithm) bool { return string(a) != parsed.Algorithm })
	}
	if len(k.algorithms) == 0 || parsed.Use != "" && parsed.Use != "sig" {
		return key{}, false
	}
	sum, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return key{}, false
	}
	k.thumbprint = hex.EncodeToString(sum[:8])
	return k, true
}

// algorithmsOf returns the algorithms of a key by its type, none if it is not a public one.
func algorithmsOf(public any) []jose.SignatureAlgorithm {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= minRSABits && bits <= maxRSABits {
			return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512}
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []jose.SignatureAlgorithm{jose.ES256}
		case elliptic.P384():
			return []jose.SignatureAlgorithm{jose.ES384}
		case elliptic.P521():
			return []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

// find returns the keys for a token: those with its kid, or all if it has none. known is whether a
// newer set could have no other ones.
func (s *keySet) find(id string, algorithm jose.SignatureAlgorithm) (all []key, known bool) {
	for _, k := range s.keys {
		if id != "" && k.id != id {
			continue
		}
		known = true
		if slices.Contains(k.algorithms, algorithm) {
			all = append(all, k)
		}
	}
	return all, known
}

// has reports whether a key with that thumbprint is in the set.
func (s *keySet) has(thumbprint string) bool {
	return slices.ContainsFunc(s.keys, func(k key) bool { return k.thumbprint == thumbprint })
}
