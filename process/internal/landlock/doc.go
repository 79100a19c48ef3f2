// Package landlock makes the Landlock ruleset of a sandboxed command (landlock(7)). Other systems
// than Linux have none.
//
// There are two uses. Inside a mount namespace, where mounts decide about files, Landlock adds what
// mounts cannot refuse. Without namespaces it decides about all files alone.
//
// A rule of Landlock gives access to a directory and all that is below it, and nothing takes away
// access again. So if something below a readable directory is not to be read, the rules are for its
// siblings: for each entry of each directory on the way that exists when the ruleset is made. An
// entry that is made later is not accessible, and a directory on the way can be passed but not
// listed. Below a writable directory this is not possible, since files are made and removed there.
//
// What may not be read is not accessible by another mount of the same directory either, but it is by a
// hard link, or as a part of an overlay.
//
// Landlock alone does not refuse to read the attributes of a file, nor to change its mode, owner,
// times and extended attributes, which the owner may do; seccomp.Options.ReadOnly does the latter
// where no file may be written. It does not refuse inotify(7) and the IPC objects of System V and of
// mq_overview(7) either.
package landlock
