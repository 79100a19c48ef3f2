// Package journal is an append-only log of entries in the segments of a directory. The spool keeps
// in it what must survive the server: starts, completion records, removals.
//
// A segment is a file journal-NNNNNNNN (decimal, at least 8 digits, ascending) of mode 0600: a
// header of 64 bytes, then entries. Integers are little-endian, checksums are CRC-32C (Castagnoli).
//
//	segment header
//	offset  bytes
//	     0      8  magic "RUNNELJ1"; the last byte is the version
//	     8      8  tag: random, begins each entry of the segment
//	    16      4  number of the segment, as in its name
//	    20     40  zero
//	    60      4  CRC of the bytes 0 to 59
//
//	entry, at a multiple of 64 bytes
//	offset  bytes
//	     0      8  tag of the segment
//	     8      1  type: 1 start, 2 record, 3 removed, 254 is being erased, 255 erased
//	     9      3  zero
//	    12      4  offset of the entry in the segment
//	    16      8  key
//	    24      4  length of the meta, at most 4 MiB
//	    28      4  length of the blob, at most 2 MiB
//	    32      4  CRC of the meta
//	    36      4  CRC of the blob
//	    40     20  zero
//	    60      4  CRC of the bytes 0 to 59
//	    64         meta, then blob, then zeros up to a multiple of 64
//
// Key and both checksums of an entry of type 254 or 255 are zero, and so are the meta and the blob
// of type 255.
//
// The tag and the offset make it impossible for output of a command, which is in blobs, to be taken
// for an entry after damage: it would have to guess 64 random bits. A header lies in one sector
// (64 divides 512), so a crash leaves either the old or the new one on disks that write sectors
// atomically, and a checksum that does not match on others.
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
