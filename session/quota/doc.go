// Package quota divides what a server has among the owners of sessions: slots of sessions and of
// connections ([Pool]), and starts per second ([Starts]). [Config] is what the operator has
// configured. Nothing in it knows what an owner is, or counts anything by itself.
package quota
