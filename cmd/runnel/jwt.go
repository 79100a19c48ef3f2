package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/auth/jwt"
)

// jwtFlags are the flags of JSON Web Tokens.
type jwtFlags struct {
	JWTJWKS     string `name:"jwt-jwks" help:"JSON Web Key Set of the issuer whose JWTs are accepted: an https:// URL, or a file." placeholder:"URL|FILE" env:"RUNNEL_JWT_JWKS"`
	JWTIssuer   string `name:"jwt-issuer" help:"Issuer (iss) that JWTs must have." placeholder:"ISSUER" env:"RUNNEL_JWT_ISSUER"`
	JWTAudience string `name:"jwt-audience" help:"Audience (aud) that JWTs must have." placeholder:"AUDIENCE" env:"RUNNEL_JWT_AUDIENCE"`
}

// check returns an error if the flags are incomplete.
func (f *jwtFlags) check(principals string) error {
	switch {
	case f.JWTJWKS == "" && (f.JWTIssuer != "" || f.JWTAudience != ""):
		return errors.New("--jwt-issuer and --jwt-audience require --jwt-jwks")
	case f.JWTJWKS != "" && (f.JWTIssuer == "" || f.JWTAudience == ""):
		return errors.New("--jwt-jwks requires --jwt-issuer and --jwt-audience")
	case f.JWTJWKS != "" && principals == "":
		return errors.New("--jwt-jwks requires --principals, which says who the subjects of JWTs are")
	}
	return nil
}

// addJWTs adds the source of JSON Web Tokens.
func (a *authentication) addJWTs(f *jwtFlags, r *reloader, log zerolog.Logger) (err error) {
	if f.JWTJWKS == "" {
		return nil
	}
	o := jwt.Options{Issuer: f.JWTIssuer, Audience: f.JWTAudience, Principals: a.principals.Load, Log: log, Changed: func() {
		if changed := a.keysChanged.Load(); changed != nil {
			(*changed)()
		}
	}}
	fetched := strings.Contains(f.JWTJWKS, "://")
	if fetched {
		o.Keys = f.JWTJWKS
	}
	if a.jwts, err = jwt.New(o); err != nil {
		return &statusError{exitUsage, fmt.Errorf("--jwt-jwks %s: %w", f.JWTJWKS, err)}
	}
	a.chain.Sources = append(a.chain.Sources, a.jwts)
	if fetched {
		return nil
	}
	return r.begin("jwks", func() error {
		text, _, err := readOperatorFile("--jwt-jwks", f.JWTJWKS, jwt.MaxKeySetBytes)
		if err == nil {
			err = a.jwts.SetKeys(text)
		}
		return err
	}, f.JWTJWKS)
}

// close ends the goroutines of the sources. a may be nil.
func (a *authentication) close() {
	if a != nil && a.jwts != nil {
		a.jwts.Close()
	}
}
