// Makes a zip file from the files of a folder, in the browser, without compression: pictures are compressed already.
//
// A zip file is a header and the content for each file, then a directory that lists all of them, then an end record
// (PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16). All numbers are little-endian. The contents are not copied:
// a Blob refers to them. Each file is read once, for its checksum.

const VERSION = 20; // of the format: 2.0
const UTF8_NAMES = 0x0800; // flag: names are in UTF-8
const STORED = 0; // method: no compression
const DATE = 0x0021; // 1 January 1980, the first one that the format can write: the same files make the same zip file
const MAX_FILES = 0xffff;
const MAX_BYTES = 0xffffffff;

/** The files are too many or too large for a zip file without the extension Zip64. */
export class ZipLimitError extends Error {}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Return the CRC-32 checksum of bytes, as zip and PNG files have it (ISO 3309, the polynomial 0xedb88320). */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (let index = 0; index < bytes.length; index += 1) crc = CRC_TABLE[(crc ^ bytes[index]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Make a zip file.
 * @param {{path: string, file: Blob}[]} files `path` has `/` between folders, and does not begin with it.
 * @param {{onProgress?: function(number): void, signal?: AbortSignal}} options `onProgress` gets how many files are done.
 * @returns {Promise<Blob>} the zip file.
 * @throws {ZipLimitError} there are too many files, or too many bytes.
 * @throws {DOMException} an AbortError if `signal` was aborted, or a file cannot be read.
 */
export async function makeZip(files, { onProgress = () => {}, signal } = {}) {
  if (files.length > MAX_FILES) throw new ZipLimitError();
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [index, { path, file }] of files.entries()) {
    signal?.throwIfAborted();
    const name = new TextEncoder().encode(path);
    const crc = crc32(new Uint8Array(await file.arrayBuffer()));
    if (offset + file.size > MAX_BYTES) throw new ZipLimitError();
    // Both headers have these fields: version, flags, method, time, date, checksum, sizes, length of the name.
    const shared = [[2, VERSION], [2, UTF8_NAMES], [2, STORED], [2, 0], [2, DATE], [4, crc], [4, file.size], [4, file.size], [2, name.length]];
    const header = packNumbers([[4, 0x04034b50], ...shared, [2, 0]]);
    parts.push(header, name, file);
    // Then come: extra, comment, disk, internal and external attributes, and where the file begins.
    const place = [[2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]];
    directory.push(packNumbers([[4, 0x02014b50], [2, VERSION], ...shared, ...place]), name);
    offset += header.length + name.length + file.size;
    onProgress(index + 1);
  }
  const length = directory.reduce((sum, { length: size }) => sum + size, 0);
  const end = [[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, offset], [2, 0]];
  return new Blob([...parts, ...directory, packNumbers(end)], { type: "application/zip" });
}

/** Return numbers as bytes, little-endian. Each is given as [number of bytes, value]. */
function packNumbers(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}
