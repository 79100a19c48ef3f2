// Package rpc is the Runnel protocol, version 1, as Go types: methods, params, results, notifications and
// errors, and the JSON text that carries them. It knows neither sockets nor sessions.
package rpc
