// PNG, decoded here and not by the browser: 16 bits stay 16, and no colour profile is applied (docs/preprocessing.md, 2).

import { gray } from "./lucency.js";
import { checkSize, damaged, refusal } from "./refuse.js";

const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
/** Of an interlaced PNG, pass by pass: first column and row, steps between them. */

/** @param {Uint8Array} bytes @returns {Promise<{pixels, width, height, bits, exif}>} upright is left to the caller */
export async function readPng(bytes) {
  const chunks = parts(bytes);
  const head = header(chunks);
  const packed = chunks.filter(({ name }) => name === "IDAT").map(({ data }) => data);
  const passes = head.interlaced ? ADAM7 : [[0, 0, 1, 1]];
  const shapes = passes.map((pass) => shape(pass, head)).filter(({ width, height }) => width > 0 && height > 0);
  const pixelBytes = head.channels * (head.depth / 8);
  const wanted = shapes.reduce((sum, { width, height }) => sum + height * (1 + width * pixelBytes), 0);
  const raw = await inflated(packed, wanted);
  const samples = new Uint8Array(head.width * head.height * pixelBytes);
  let at = 0;
  for (const part of shapes) at = unfilter(raw, at, part, pixelBytes, samples, head.width);
  const exif = chunks.find(({ name }) => name === "eXIf")?.data;
  return { ...grayOf(samples, head, chunks), width: head.width, height: head.height, exif };
}

function parts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
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
  const width = view.getUint32(0), height = view.getUint32(4), depth = data[8], colour = data[9];
  checkSize(width, height);
  if (colour === 3) throw refusal("found_palette", "advice_gray");
  if (colour === 0 && depth < 8) throw refusal("found_one_bit", "advice_export", { bits: depth });
  if (!(colour in CHANNELS) || (depth !== 8 && depth !== 16) || data[10] || data[11] || data[12] > 1) throw damaged("PNG");
  if (chunks.some((chunk) => chunk.name === "acTL")) throw refusal("found_animated", "advice_one");
  return { width, height, depth, colour, channels: CHANNELS[colour], interlaced: data[12] === 1 };
}

/** The inflated content, of exactly the wanted length; a stream that swells beyond it is cut off. */
async function inflated(packed, wanted) {
  const out = new Uint8Array(wanted);
  let at = 0;
  try {
    const reader = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      const room = value.subarray(0, wanted - at);
      out.set(room, at);
      at += room.length;
      if (room.length < value.length) {
        reader.cancel().catch(() => {});
        break;
      }
    }
  } catch {
    throw damaged("PNG");
  }
  if (at < wanted) throw damaged("PNG");
  return out;
}

const shape = ([left, top, across, down], head) => ({
  left, top, across, down, width: Math.ceil((head.width - left) / across), height: Math.ceil((head.height - top) / down),
});

/** Undo the filters of one pass and lay its pixels out; gives where the next pass begins. PNG, section 9. */
function unfilter(raw, start, { left, top, across, down, width, height }, size, out, fullWidth) {
  const row = width * size;
  let at = start;
  for (let y = 0; y < height; y++, at += row + 1) {
    const filter = raw[at], here = at + 1, above = y ? here - row - 1 : -1;
    if (filter > 4) throw damaged("PNG");
    for (let x = 0; filter && x < row; x++) {
      const a = x >= size ? raw[here + x - size] : 0;
      const b = above >= 0 ? raw[above + x] : 0;
      const c = x >= size && above >= 0 ? raw[above + x - size] : 0;
      raw[here + x] += filter === 1 ? a : filter === 2 ? b : filter === 3 ? (a + b) >> 1 : paeth(a, b, c);
    }
    let to = ((top + y * down) * fullWidth + left) * size;
    if (across === 1) out.set(raw.subarray(here, here + row), to);
    else for (let x = 0; x < row; x += size, to += across * size) out.set(raw.subarray(here + x, here + x + size), to);
  }
  return at;
}

function paeth(a, b, c) {
  const toA = Math.abs(b - c), toB = Math.abs(a - c), toC = Math.abs(a + b - 2 * c);
  return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
}

/** Samples to gray: 16 bits stay for gray without alpha; else the high byte counts, as in Pillow. */
function grayOf(samples, { depth, colour, channels }, chunks) {
  const clear = chunks.find(({ name }) => name === "tRNS")?.data;
  if (depth === 16 && colour === 0) {
    if (clear) throw refusal("found_holes", "advice_flatten");
    const view = new DataView(samples.buffer);
    return { pixels: Uint16Array.from({ length: samples.length / 2 }, (_, i) => view.getUint16(2 * i)), bits: 16 };
  }
  const bytes = depth === 8 ? samples : samples.filter((_, i) => i % 2 === 0);
  const holes = colour >= 4 ? bytes.some((value, i) => i % channels === channels - 1 && value !== 255) : false;
  if (holes || (clear && masked(bytes, channels, clear, depth))) throw refusal("found_holes", "advice_flatten");
  return { pixels: channels < 3 ? every(bytes, channels) : gray(rgba(bytes, channels)), bits: 8 };
}

/** Whether any pixel has the one colour that tRNS makes transparent. */
function masked(bytes, channels, clear, depth) {
  const key = Array.from({ length: channels }, (_, i) => clear[2 * i + (depth === 8 ? 1 : 0)]);
  for (let at = 0; at < bytes.length; at += channels) if (key.every((value, i) => bytes[at + i] === value)) return true;
  return false;
}

const every = (bytes, step) => (step === 1 ? bytes : bytes.filter((_, i) => i % step === 0));

function rgba(bytes, channels) {
  if (channels === 4) return bytes;
  const out = new Uint8Array((bytes.length / 3) * 4);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) out.set(bytes.subarray(from, from + 3), to);
  return out;
}
