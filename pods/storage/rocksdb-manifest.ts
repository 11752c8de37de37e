/**
 * A check of RocksDB's catalogue, the MANIFEST, before RocksDB reads it. RocksDB itself is not safe here: after some
 * flips of one bit it loops forever while it opens, after others it takes the last record for a torn write, leaves it
 * out, and opens without the files that the record named.
 *
 *   file   = blocks of 32 KiB
 *   block  = records, then zeroes where less than a header is left
 *   record = crc32c of kind and data, masked (u32 LE) | length of data (u16 LE) | kind (u8) | data
 *
 * A record that the end of the file cuts off is what a crash leaves behind. It counts as damage when the bytes that are
 * there match its checksum at another length, because then the length is what changed.
 */

import { crc32c } from '@node-rs/crc32';

const blockBytes = 32_768;
const headerBytes = 7;

/** What is wrong with the file, in words; undefined when nothing is. */
export function manifestDamage(file: Uint8Array): string | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = 0;
  while (at < file.length) {
    const blockEnd = Math.min(file.length, (Math.floor(at / blockBytes) + 1) * blockBytes);
    if (blockEnd - at < headerBytes) {
      // Padding of a block, or a header that a crash cut off.
      at = blockEnd;
      continue;
    }
    const stored = view.getUint32(at, true);
    const length = view.getUint16(at + 4, true);
    const kindAt = at + 6;
    const dataEnd = at + headerBytes + length;
    if (dataEnd > blockEnd) {
      const torn = blockEnd === file.length && !matchesAtSomeLength(file.subarray(kindAt, blockEnd), stored);
      return torn ? undefined : `the record at byte ${at} has a wrong length`;
    }
    if (masked(crc32c(file.subarray(kindAt, dataEnd))) !== stored) {
      // A file that grew before its data arrived ends in zeroes.
      if (file.subarray(at).every((byte) => byte === 0)) return undefined;
      return `the record at byte ${at} fails its checksum`;
    }
    at = dataEnd;
  }
  return undefined;
}

function matchesAtSomeLength(kindAndData: Uint8Array, stored: number): boolean {
  let checksum = 0;
  for (let length = 1; length <= kindAndData.length; length += 1) {
    checksum = crc32c(kindAndData.subarray(length - 1, length), checksum);
    if (masked(checksum) === stored) return true;
  }
  return false;
}

/** RocksDB stores checksums rotated and offset, so that a checksum of data that holds checksums stays a good one. */
function masked(checksum: number): number {
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}
