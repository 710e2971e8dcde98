// Reads the weights of a model: the safetensors format (https://huggingface.co/docs/safetensors).
//
// A file is: the length of the header as a 64-bit integer (little-endian), the header in JSON, and the values of all
// tensors without gaps. The header maps each name to {dtype, shape, data_offsets: [begin, end]}, in bytes after the
// header. Tandem's models have 32-bit floats (F32) only. This module makes no request and knows no network.

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000; // the limit of the format
const BYTES_PER_VALUE = 4;

/**
 * Return the tensors of a safetensors file.
 *
 * @param {ArrayBuffer} buffer the whole file.
 * @returns {Map<string, {shape: number[], values: Float32Array}>} by name. The values are in row-major order.
 * @throws {Error} the file is damaged, or has a tensor that is not F32. The message says which.
 */
export function parseSafetensors(buffer) {
  if (buffer.byteLength < LENGTH_BYTES) throw new Error("the weights are cut off: the file has no header");
  const length = new DataView(buffer).getBigUint64(0, true);
  const start = LENGTH_BYTES + Number(length);
  if (length > MAX_HEADER_BYTES || start > buffer.byteLength) {
    throw new Error(`the weights are damaged: a header of ${length} bytes does not fit into the file`);
  }
  const data = buffer.slice(start); // a copy, because a Float32Array has to begin at a multiple of 4 bytes
  const tensors = Object.entries(parseHeader(new Uint8Array(buffer, LENGTH_BYTES, Number(length))))
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => checkTensor(name, entry))
    .sort((one, other) => one.begin - other.begin || one.end - other.end);
  let end = 0;
  for (const tensor of tensors) {
    if (tensor.begin !== end) throw new Error(`the weights are damaged: ${tensor.name} does not begin at byte ${end}`);
    end = tensor.end;
  }
  if (end !== data.byteLength) {
    throw new Error(`the weights are damaged: they have ${data.byteLength} bytes, but the header describes ${end}`);
  }
  // Typed arrays have the byte order of the processor. Every processor that runs a browser today is little-endian.
  return new Map(tensors.map(({ name, shape, begin, end }) =>
    [name, { shape, values: new Float32Array(data, begin, (end - begin) / BYTES_PER_VALUE) }]));
}

function parseHeader(bytes) {
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Error("the weights are damaged: the header is not JSON");
  }
  if (!isObject(header)) throw new Error("the weights are damaged: the header is not a JSON object");
  return header;
}

function checkTensor(name, entry) {
  if (!isObject(entry)) throw new Error(`the weights are damaged: ${name} is not described`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (dtype !== "F32") throw new Error(`${name} has the type ${dtype}: this page reads 32-bit floats (F32) only`);
  if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) {
    throw new Error(`the weights are damaged: ${name} has no valid shape or offsets`);
  }
  const [begin, end] = offsets;
  const bytes = shape.reduce((product, side) => product * side, BYTES_PER_VALUE);
  if (end - begin !== bytes) {
    throw new Error(`the weights are damaged: ${name} ${JSON.stringify(shape)} has ${end - begin} bytes, not ${bytes}`);
  }
  return { name, shape, begin, end };
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value) {
  return Array.isArray(value) && value.every((number) => Number.isSafeInteger(number) && number >= 0);
}
