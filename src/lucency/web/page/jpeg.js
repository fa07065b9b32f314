// JPEG: what it says of itself is checked here, its pixels are decoded by the browser, at full size.

import { checkSize, damaged, refusal } from "./errors.js";
import { gray } from "./lucency.js";

const MAX_SCANS = 64;
const STRIP = 1024;
/** Rows read back at once: a canvas of a whole large film is more than some phones allow. */

/** @param {Uint8Array} bytes @returns {Promise<{pixels: Uint8Array, width, height, facts}>} turned upright */
export async function readJpeg(bytes, mostComponents = 3) {
  const frame = checkJpeg(bytes, mostComponents), damage = frame.process < 2 ? findDamage(bytes, frame) : "";
  return { ...(await decoded(bytes)), facts: damage ? { damage } : {} };
}

/** Refuse, before anything is decoded, what is too large, in CMYK, of other than 8 bits, or of too many scans. */
export function checkJpeg(bytes, mostComponents) {
  const frame = frameOf(bytes);
  if (!frame) throw damaged("JPEG");
  checkSize(frame.width, frame.height);
  if (frame.components > mostComponents) throw refusal("found_cmyk", "advice_gray");
  if (frame.bits !== 8 || ![0, 1, 2].includes(frame.process)) throw refusal("found_jpeg", "advice_jpeg", frame);
  let scans = 0;
  for (let at = bytes.indexOf(0xff); at >= 0; at = bytes.indexOf(0xff, at + 1)) scans += bytes[at + 1] === 0xda;
  if (scans > MAX_SCANS) throw refusal("found_scans", "advice_scans", { scans, most: MAX_SCANS });
  return frame;
}

/** The frame header, T.81 B.2.2: size, components, bits, and which process codes it. */
export function frameOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker < 0xd0 && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      const height = view.getUint16(at + 5), width = view.getUint16(at + 7);
      const components = bytes[at + 9], parts = Array.from({ length: components }, (_, i) => {
        const [id, sampling] = bytes.subarray(at + 10 + 3 * i, at + 12 + 3 * i);
        return { id, h: sampling >> 4, v: sampling & 15 };
      });
      return { bits: bytes[at + 4], height, width, components, parts, process: marker - 0xc0 };
    }
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}

/** Decoded by the browser, colours as stored, EXIF orientation applied. */
async function decoded(bytes) {
  const asStored = { colorSpaceConversion: "none", imageOrientation: "from-image", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), asStored);
  } catch {
    throw damaged("JPEG");
  }
  const { width, height } = bitmap;
  const pixels = new Uint8Array(width * height);
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const pen = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    pen.drawImage(bitmap, 0, -top);
    pixels.set(gray(pen.getImageData(0, 0, width, rows).data), top * width);
  }
  bitmap.close();
  return { pixels, width, height };
}

/** Whether pixels drawn on a canvas come back as they were: some browsers alter them against tracking. */
export function canvasIsFaithful() {
  const pen = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true, alpha: false });
  for (let i = 0; i < 64; i++) {
    pen.fillStyle = `rgb(${4 * i}, ${4 * i}, ${4 * i})`;
    pen.fillRect(i, 0, 1, 64);
  }
  return pen.getImageData(0, 0, 64, 64).data.every((value, i) => value === (i % 4 === 3 ? 255 : 4 * ((i >> 2) % 64)));
}

// Browsers decode damaged JPEGs without a word. So the entropy-coded data of baseline JPEGs is walked through first, as in
// T.81, F.2.2, without computing a pixel: in whole files each scan holds the blocks of the frame and nothing more.

const RESTART = 0xd0, SCAN = 0xda, TABLES = 0xc4, INTERVAL = 0xdd, END = 0xd9;

/** @returns {"leftover"|""} whether data is left behind the last block @throws {FilmError} codes or blocks are missing */
export function findDamage(bytes, frame) {
  const tables = {};
  let damage = "", restart = 0;
  for (const segment of segmentsOf(bytes)) {
    const { marker, body, at } = segment;
    if (marker === TABLES) readTables(body, tables);
    if (marker === INTERVAL) restart = (body[0] << 8) | body[1];
    if (marker !== SCAN) continue;
    const bits = new Bits(bytes, at);
    walk(bits, blocksOf(frame, body, tables), restart);
    if (!bits.ended()) damage = "leftover";
    segment.next = bits.next();
  }
  return damage;
}

/** The segments of a stream up to its end: marker, body, where it ends. Who reads on behind a scan sets `next`. */
export function* segmentsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== END; ) {
    const marker = bytes[at + 1], length = marker === 0xff ? -1 : view.getUint16(at + 2);
    const segment = { marker, body: bytes.subarray(at + 4, at + 2 + length), at: at + 2 + length, next: at + 2 + length };
    yield segment;
    at = segment.next;
  }
}

/** For each code of up to 16 bits, at every 16 bits that begin with it: its length and symbol; T.81, annex C. */
export function readTables(body, tables) {
  for (let at = 0; at + 17 <= body.length; ) {
    const table = new Uint16Array(65536), counts = body.subarray(at + 1, at + 17);
    tables[body[at]] = table;
    at += 17;
    let code = 0;
    counts.forEach((count, i) => {
      for (let n = 0; n < count; n++, code += 1 << (15 - i)) table.fill(((i + 1) << 8) | body[at++], code, code + (1 << (15 - i)));
    });
  }
}

/** How many groups of blocks a scan has, and the tables [DC, AC] of each block in a group; T.81, A.2. */
function blocksOf({ width, height, parts }, body, tables) {
  const [across, down] = ["h", "v"].map((way) => Math.max(...parts.map((part) => part[way])));
  const scanned = Array.from({ length: body[0] }, (_, i) => {
    const part = parts.find(({ id }) => id === body[1 + 2 * i]), ids = body[2 + 2 * i];
    const pair = [tables[ids >> 4], tables[16 + (ids & 15)]];
    if (!part || !pair.every(Boolean)) throw damaged("JPEG");
    return { ...part, pair };
  });
  const [one] = scanned, alone = scanned.length === 1;
  const wide = alone ? Math.ceil((width * one.h) / across / 8) : Math.ceil(width / (8 * across));
  const tall = alone ? Math.ceil((height * one.v) / down / 8) : Math.ceil(height / (8 * down));
  return { groups: wide * tall, group: scanned.flatMap(({ h, v, pair }) => Array(alone ? 1 : h * v).fill(pair)) };
}

function walk(bits, { groups, group }, restart) {
  for (let done = 0; done < groups; done++) {
    if (restart && done && done % restart === 0) bits.restart((done / restart - 1) % 8);
    for (const [dc, ac] of group) {
      const size = bits.symbol(dc);
      if (size > 11) throw damaged("JPEG");
      bits.skip(size);
      for (let k = 1; k < 64; ) {
        const symbol = bits.symbol(ac), more = symbol & 15;
        if (!more && symbol !== 0xf0) break;
        k += (symbol >> 4) + 1;
        if (k > 64) throw damaged("JPEG");
        bits.skip(more);
      }
    }
  }
}

/** The bits of a scan: a zero behind 0xff is left out, any other byte there is a marker and ends it. */
export class Bits {
  constructor(bytes, at) {
    Object.assign(this, { bytes, at, value: 0, count: 0 });
  }

  /** The symbol of the next code. */
  symbol(table) {
    this.need(16);
    const found = table[(this.value >>> (this.count - 16)) & 0xffff];
    if (!found) throw damaged("JPEG");
    this.skip(found >> 8);
    return found & 255;
  }

  /** A difference of a lossless scan: its number of bits is coded, the bits follow; T.81, F.2.2.1 and H.1.2.2. */
  difference(table) {
    const size = this.symbol(table);
    if (!size) return 0;
    if (size >= 16) return 32768;
    this.need(size);
    const bits = (this.value >>> (this.count - size)) & (2 ** size - 1);
    this.skip(size);
    return bits < 2 ** (size - 1) ? bits - 2 ** size + 1 : bits;
  }

  skip(count) {
    this.need(count);
    this.count -= count;
    if (this.count < this.beyond) throw damaged("JPEG");
  }

  /** Have so many bits at hand; zeros, counted, stand for those behind the end. */
  need(count) {
    while (this.count < count) {
      const byte = this.bytes[this.at], marker = byte === 0xff && this.bytes[this.at + 1] !== 0;
      const over = byte === undefined || marker;
      this.value = ((this.value << 8) | (over ? 0 : byte)) >>> 0;
      this.count += 8;
      this.beyond = over ? (this.beyond ?? 0) + 8 : 0;
      if (!over) this.at += byte === 0xff ? 2 : 1;
    }
  }

  /** Whether nothing but the padding of the last byte is left. */
  ended() {
    const { bytes, at } = this;
    return this.count - (this.beyond ?? 0) < 8 && (bytes[at] === undefined || (bytes[at] === 0xff && bytes[at + 1] !== 0));
  }

  /** Where the next marker other than a restart is. */
  next() {
    const { bytes } = this;
    for (let at = this.at; at < bytes.length; at++) {
      if (bytes[at] === 0xff && bytes[at + 1] && bytes[at + 1] !== 0xff && (bytes[at + 1] & 0xf8) !== RESTART) return at;
    }
    return bytes.length;
  }

  restart(number) {
    while (this.bytes[this.at] === 0xff && this.bytes[this.at + 1] === 0xff) this.at += 1;
    if (!this.ended() || this.bytes[this.at + 1] !== RESTART + number) throw damaged("JPEG");
    Object.assign(this, { at: this.at + 2, value: 0, count: 0, beyond: 0 });
  }
}
