// Lossless JPEG of one component (ITU-T T.81, annex H), which archives are full of: DICOM transfer syntaxes .57 and .70.

import { damaged } from "./errors.js";
import { frameOf } from "./jpeg.js";
import { Bits, readTables, segmentsOf } from "./jpeg_scans.js";

const LOSSLESS = 3;
/** What each predictor makes of the pixels to the left, above, and above to the left; table H.1. */
const PREDICTORS = [
  () => 0, (a) => a, (a, b) => b, (a, b, c) => c, (a, b, c) => a + b - c,
  (a, b, c) => a + ((b - c) >> 1), (a, b, c) => b + ((a - c) >> 1), (a, b) => (a + b) >> 1,
];

/** @param {Uint8Array} bytes a stream @returns {{pixels: Uint16Array, width, height}} @throws {FilmError} it is damaged */
export function decodeLossless(bytes) {
  const frame = frameOf(bytes), tables = {};
  if (frame?.process !== LOSSLESS || frame.components !== 1) throw damaged("JPEG");
  let restart = 0;
  for (const { marker, body, at } of segmentsOf(bytes)) {
    if (marker === 0xc4) readTables(body, tables);
    if (marker === 0xdd) restart = (body[0] << 8) | body[1];
    if (marker !== 0xda) continue;
    const table = tables[body[2] >> 4], predict = PREDICTORS[body[3]];
    if (!table || !predict || restart % frame.width) throw damaged("JPEG");
    return pixelsOf(new Bits(bytes, at), frame, { table, predict, shift: body[5] & 15, rows: restart / frame.width });
  }
  throw damaged("JPEG");
}

/** The first row, and each behind a restart, is predicted from the left alone, every other row's first pixel from above. */
function pixelsOf(bits, frame, { table, predict, shift, rows }) {
  const { width, height } = frame, half = 2 ** (frame.bits - shift - 1), pixels = new Uint16Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    const fresh = y === 0 || (rows && y % rows === 0);
    if (y && fresh) bits.restart((y / rows - 1) % 8);
    for (let x = 0; x < width; x++, at++) {
      const left = pixels[at - 1], above = pixels[at - width];
      const expected = x === 0 ? (fresh ? half : above) : fresh ? left : predict(left, above, pixels[at - width - 1]);
      pixels[at] = expected + bits.difference(table);
    }
  }
  if (!bits.ended()) throw damaged("JPEG");
  return { pixels: shift ? pixels.map((value) => value << shift) : pixels, width, height };
}
