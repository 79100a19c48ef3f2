// Package jwt authenticates callers by JSON Web Tokens (RFC 7519) that an issuer has signed. It
// accepts the algorithms RS256, RS384, RS512, ES256, ES384, ES512 and EdDSA only, with the keys of
// the issuer's JSON Web Key Set (RFC 7517); the key, not the token, decides which algorithm may be
// used. What a subject may do is decided by the mappings of the principals file, and by no claim.
package jwt
