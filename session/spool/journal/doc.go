// Package journal is an append-only log of entries in the segments of a directory. The spool keeps
// in it what must survive the server: starts, completion records, removals.
//
// A segment is a file journal-NNNNNNNN of mode 0600; docs/spool.md defines its format.
//
// A random tag of the segment, and its offset, are in the header of each entry. They make it
// impossible for output of a command, which is in blobs, to be taken for an entry after damage: it
// would have to guess 64 random bits. A header lies in one sector (64 divides 512), so a crash
// leaves either the old or the new one on disks that write sectors atomically, and a checksum that
// does not match on others.
//
// # Crashes
//
// What Append returned survives the end of the process. It survives a crash of the system once a
// later Sync returned nil. An Append that was interrupted may leave some of its first entries.
// After a crash of the system, the blob of an entry that was not synced may be damaged although
// Scan found the entry: ReadBlob then returns ErrDamaged.
//
// # Erasing
//
// Erase overwrites the meta and the blob in the file. Copies may remain elsewhere: in snapshots and
// backups, on file systems that never overwrite in place (Btrfs, ZFS, APFS) or that journal data
// (ext4 with data=journal), in the spare blocks of flash memory, and, until the next Sync, in the
// blocks of the disk. Remove only unlinks the segment; its blocks keep their content until they are
// reused.
package journal
