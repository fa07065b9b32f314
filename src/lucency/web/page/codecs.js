// JPEG 2000 and JPEG-LS, decoded by OpenJPEG and CharLS in WebAssembly, which are loaded when the first such film comes.

import { checkSize, damaged } from "./errors.js";
import { decodeJpeg2000 } from "./jpeg2000.js";

const CODECS = {
  jpeg2000: { file: "openjpeg", decoder: "J2KDecoder", header: jpeg2000Size, by: decodeJpeg2000, ordered: (values) => values },
  jpegls: { file: "charls", decoder: "JpegLSDecoder", header: jpegLsSize, by: plain, ordered: byPixel },
};
const loaded = {};

/**
 * @param {"jpeg2000"|"jpegls"} name @param {Uint8Array} bytes a codestream
 * @param {number} width @param {number} height @param {number} [samples] a pixel: what the header around it states
 * @returns {Promise<{pixels: Uint8Array|Uint16Array, width, height, facts}>} pixel by pixel @throws {FilmError} damaged, or of another size
 */
export async function decodeBy(name, bytes, width, height, samples = 1) {
  const { file, decoder, header, by, ordered } = CODECS[name], stated = header(bytes);
  // What the stream says of itself is what a decoder allocates by.
  if (!stated || stated.width !== width || stated.height !== height || stated.components !== samples) throw damaged("DICOM");
  checkSize(stated.width, stated.height);
  const Decoder = (await (loaded[name] ??= load(file)))[decoder];
  try {
    const decode = (stream) => decoded(Decoder, stream, { width, height, samples, ordered });
    const { pixels, damage } = (samples === 1 ? by : plain)(bytes, decode);
    return { pixels, width, height, facts: damage ? { damage } : {} };
  } catch {
    throw damaged("DICOM"); // a decoder throws numbers
  }
}

/** Values as they are coded, of more than 16 bits clipped to 16. @throws where there are not so many */
function decoded(Decoder, bytes, { width, height, samples, ordered }) {
  const decoder = new Decoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const { bitsPerSample, componentCount } = decoder.getFrameInfo(), each = Math.ceil(bitsPerSample / 8);
    const out = decoder.getDecodedBuffer(), many = width * samples, row = many * each;
    if (componentCount !== samples || out.length !== height * row) throw damaged("DICOM");
    if (each === 1) return ordered(out.slice(), samples, decoder);
    const values = new Uint16Array(many * height); // two bytes each, even where a row has room for three
    for (let y = 0; y < height; y++) values.set(new Uint16Array(out.slice(y * row, y * row + 2 * many).buffer), y * many);
    return ordered(values, samples, decoder);
  } finally {
    decoder.delete();
  }
}

function plain(bytes, decode) {
  return { pixels: decode(bytes) };
}

/** JPEG-LS may hold one component after another (ITU-T T.87, C.2.3: ILV 0), and CharLS gives them so. */
function byPixel(values, samples, decoder) {
  if (samples === 1 || decoder.getInterleaveMode() !== 0) return values;
  const size = values.length / samples;
  return values.map((_, i) => values[(i % samples) * size + Math.floor(i / samples)]);
}

async function load(file) {
  const { default: start } = await import(`./codecs/${file}.js`);
  const quiet = () => {};
  return start({ locateFile: () => new URL(`codecs/${file}.wasm`, import.meta.url).href, print: quiet, printErr: quiet });
}

/** SIZ, ISO/IEC 15444-1, A.5.1: it follows the start of the codestream. */
function jpeg2000Size(bytes) {
  if (bytes.length < 42 || bytes[0] !== 0xff || bytes[1] !== 0x4f || bytes[2] !== 0xff || bytes[3] !== 0x51) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset), at = (place) => view.getUint32(place);
  const tiles = Math.ceil(at(8) / at(24)) * Math.ceil(at(12) / at(28));
  return tiles <= 4096 ? { width: at(8) - at(16), height: at(12) - at(20), components: view.getUint16(40) } : null;
}

/** Start of frame, ITU-T T.87, C.2.2. */
function jpegLsSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    if (bytes[at + 1] === 0xf7) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components: bytes[at + 9] };
  }
  return null;
}
