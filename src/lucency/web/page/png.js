// PNG, decoded here and not by the browser: 16 bits stay 16, and no colour profile is applied (docs/preprocessing.md, 2).
// Row by row, so that a small file never takes more memory than its gray pixels.

import { checkSize, damaged, refusal } from "./errors.js";
import { gray } from "./lucency.js";

const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };
/** First column and row of each pass, and the steps between them. */
const PLAIN = [[0, 0, 1, 1]];
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/** @param {Uint8Array} bytes @returns {Promise<{pixels, colour, width, height, exif, facts}>} as stored: `upright` turns it */
export async function readPng(bytes) {
  const chunks = chunksOf(bytes), head = header(chunks), { width, height } = head;
  const data = (name) => chunks.filter((chunk) => chunk.name === name).map((chunk) => chunk.data);
  const samplesOf = samplesIn(head, data("tRNS")[0]), channels = head.channels < 3 ? 1 : 3;
  const rows = new Inflated(data("IDAT"));
  const pixels = new (head.wide ? Uint16Array : Uint8Array)(channels * width * height);
  for (const [left, top, across, down] of head.interlaced ? ADAM7 : PLAIN) {
    const columns = Math.ceil((width - left) / across), size = columns * head.size;
    if (columns <= 0) continue;
    let row = new Uint8Array(size + 1), above = new Uint8Array(size + 1);
    for (let y = top; y < height; y += down, [row, above] = [above, row]) {
      if (!rows.fill(row)) await rows.wait(row);
      unfilter(row, above, head.size);
      const values = samplesOf(row.subarray(1));
      if (across === 1) pixels.set(values, channels * y * width);
      else for (let i = 0; i < values.length; i++) pixels[channels * (y * width + left + Math.floor(i / channels) * across) + (i % channels)] = values[i];
    }
  }
  await rows.end();
  const exif = data("eXIf")[0];
  if (channels === 1) return { pixels, width, height, exif, facts: {} };
  return { pixels: gray(pixels, 3), colour: pixels, width, height, exif, facts: profileFacts(data("iCCP")[0]?.subarray(0, 80)) };
}

/** What a colour picture says of its colours: a profile other than sRGB is not applied. Its name is in ASCII or UTF-16. */
export function profileFacts(profile) {
  const name = new TextDecoder("latin1").decode(profile).replaceAll("\0", "");
  return name && !name.includes("sRGB") ? { profile: "not applied" } : {};
}

function chunksOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at), name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length) throw damaged("PNG");
    found.push({ name, data: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
    if (name === "IEND") break;
  }
  return found;
}

function header(chunks) {
  const { name, data } = chunks[0] ?? {};
  if (name !== "IHDR" || data.length < 13) throw damaged("PNG");
  const view = new DataView(data.buffer, data.byteOffset, 13);
  const width = view.getUint32(0), height = view.getUint32(4), [depth, colour, compression, filter, interlace] = data.subarray(8);
  checkSize(width, height);
  if (colour === 3) throw refusal("found_palette", "advice_gray");
  if (colour === 0 && depth < 8) throw refusal("found_one_bit", "advice_export", { bits: depth });
  if (!(colour in CHANNELS) || ![8, 16].includes(depth) || compression || filter || interlace > 1) throw damaged("PNG");
  if (chunks.some((chunk) => chunk.name === "acTL")) throw refusal("found_animated", "advice_one");
  const channels = CHANNELS[colour], bytes = depth / 8;
  return { width, height, bytes, channels, size: channels * bytes, wide: depth === 16 && colour === 0, interlaced: interlace === 1 };
}

/** The bytes of a deflated stream, as they are asked for. */
class Inflated {
  constructor(parts) {
    this.reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    this.chunk = new Uint8Array(0);
    this.filled = 0;
  }

  /** Fill a row from what has been inflated; false where more is needed. */
  fill(row) {
    const part = this.chunk.subarray(0, row.length - this.filled);
    row.set(part, this.filled);
    this.chunk = this.chunk.subarray(part.length);
    this.filled += part.length;
    if (this.filled < row.length) return false;
    this.filled = 0;
    return true;
  }

  /** Inflate until the row is full. */
  async wait(row) {
    do {
      const { done, value } = await this.reader.read().catch(() => ({ done: true }));
      if (done) throw damaged("PNG");
      this.chunk = value;
    } while (!this.fill(row));
  }

  /** Check the stream's sum, which stands at its end; what lies behind the pixels is not inflated. */
  async end() {
    const { done } = this.chunk.length ? {} : await this.reader.read().catch(() => { throw damaged("PNG"); });
    if (!done) this.reader.cancel().catch(() => {});
  }
}

/** Undo a row's filter, in place: PNG, section 9. The first byte of each row says which. */
function unfilter(row, above, size) {
  const filter = row[0];
  if (filter > 4) throw damaged("PNG");
  for (let x = 1; filter && x < row.length; x++) {
    const a = x > size ? row[x - size] : 0, b = above[x], c = x > size ? above[x - size] : 0;
    row[x] += filter === 1 ? a : filter === 2 ? b : filter === 3 ? (a + b) >> 1 : paeth(a, b, c);
  }
}

function paeth(a, b, c) {
  const toA = Math.abs(b - c), toB = Math.abs(a - c), toC = Math.abs(a + b - 2 * c);
  return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
}

/** A function from a row's bytes to gray, or red, green, blue: 16 bits stay for gray without alpha, else the high byte counts. */
function samplesIn({ bytes, channels, wide }, transparent) {
  if (wide && transparent) throw refusal("found_holes", "advice_flatten");
  if (wide) return (row) => Uint16Array.from({ length: row.length / 2 }, (_, i) => row[2 * i] * 256 + row[2 * i + 1]);
  const key = transparent && Array.from({ length: channels }, (_, i) => transparent[2 * i + 2 - bytes]);
  const alpha = channels % 2 === 0;
  return (row) => {
    const samples = bytes === 1 ? row : row.filter((_, i) => i % 2 === 0);
    for (let at = 0; at < samples.length && (key || alpha); at += channels) {
      const hole = (alpha && samples[at + channels - 1] !== 255) || key?.every((value, i) => samples[at + i] === value);
      if (hole) throw refusal("found_holes", "advice_flatten");
    }
    return alpha ? samples.filter((_, i) => (i + 1) % channels) : samples;
  };
}

/** A picture turned as the EXIF block of its eXIf chunk says; browsers turn JPEGs themselves. */
export const upright = ({ exif, ...picture }) => turned(exif ? orientation(exif) : 1, picture);

/** A picture turned by an EXIF orientation. */
export function turned(turn, picture) {
  const { pixels, colour, width, height } = picture;
  if (!(turn >= 2 && turn <= 8)) return picture;
  const [across, down] = turn >= 5 ? [height, width] : [width, height];
  const around = { ...picture, pixels: turnedBy(turn, pixels, width, height, 1), width: across, height: down };
  return colour ? { ...around, colour: turnedBy(turn, colour, width, height, 3) } : around;
}

function turnedBy(turn, values, width, height, channels) {
  const swapped = turn >= 5, [across, down] = swapped ? [height, width] : [width, height];
  const out = new values.constructor(values.length);
  for (let y = 0, to = 0; y < down; y++) {
    for (let x = 0; x < across; x++, to += channels) {
      const [column, row] = swapped ? [y, x] : [x, y];
      const left = [2, 3, 7, 8].includes(turn) ? width - 1 - column : column;
      const top = [3, 4, 6, 7].includes(turn) ? height - 1 - row : row;
      for (let i = 0; i < channels; i++) out[to + i] = values[channels * (top * width + left) + i];
    }
  }
  return out;
}

/** Tag 274; 1 where there is none, or the block is broken around a sound film. */
export function orientation(exif) {
  try {
    const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
    const little = view.getUint16(0) === 0x4949, start = view.getUint32(4, little);
    for (let at = start + 2, i = view.getUint16(start, little); i > 0; i--, at += 12) {
      if (view.getUint16(at, little) === 274) return view.getUint16(at + 8, little);
    }
  } catch {
    // Offsets beyond its end.
  }
  return 1;
}
