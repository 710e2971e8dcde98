// Reads the weights of a model: the safetensors format of Hugging Face.
//
// A file is: the length of the header as a 64-bit integer (little-endian), the header in JSON, and the values of all
// tensors without gaps. The header maps each name to {dtype, shape, data_offsets: [begin, end]}, in bytes after the
// header. Tandem's models have 32-bit floats (F32) only. This module makes no request and knows no network.

const LENGTH_BYTES = 8;

/**
 * Return the tensors of a safetensors file.
 *
 * @param {ArrayBuffer} buffer the whole file.
 * @returns {Map<string, {shape: number[], values: Float32Array}>} by name. The values are in row-major order.
 * @throws {Error} the file is damaged, or has a tensor that is not F32.
 */
export function parseSafetensors(buffer) {
  try {
    return readTensors(buffer);
  } catch (error) {
    throw new Error(`the weights are damaged: ${error.message}`);
  }
}

/** Do what `parseSafetensors` does. Typed arrays and views refuse to reach beyond the end of the file. */
function readTensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, LENGTH_BYTES, length)));
  delete header.__metadata__;
  const data = buffer.slice(LENGTH_BYTES + length); // a copy, as a Float32Array has to begin at a multiple of 4 bytes
  const entries = Object.entries(header).sort(([, one], [, other]) => one.data_offsets[1] - other.data_offsets[1]);
  const tensors = new Map();
  let begin = 0;
  for (const [name, { dtype, shape, data_offsets: offsets }] of entries) {
    // Typed arrays have the byte order of the processor. Every processor that runs a browser today is little-endian.
    const values = new Float32Array(data, begin, shape.reduce((product, side) => product * side, 1));
    const end = begin + values.byteLength;
    if (dtype !== "F32" || String(offsets) !== String([begin, end])) throw new Error(`${name} is not F32 from ${begin} to ${end}`);
    tensors.set(name, { shape, values });
    begin = end;
  }
  if (begin !== data.byteLength) throw new Error(`${data.byteLength} bytes instead of ${begin}`);
  return tensors;
}
