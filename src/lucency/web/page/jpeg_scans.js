// The coded data of a JPEG (ITU-T T.81), walked through without computing a pixel: browsers decode damaged files without a
// word. In whole files each scan holds the blocks of the frame and nothing more, and all blocks of a row end where the next begin.

import { damaged } from "./errors.js";

const RESTART = 0xd0, SCAN = 0xda, TABLES = 0xc4, INTERVAL = 0xdd, END = 0xd9;

const PROGRESSIVE = 2;
const MIN_STEP = 2, MIN_EVENNESS = 0.65, MIN_SURE = 6, BLOCK = 8;
/** Of a jump along a row of blocks: gray levels, |mean| / root mean square, mean in standard errors; lucency.film.codestream. */

/** @returns {"leftover"|""} whether data is left behind the last block @throws {FilmError} codes, blocks or scans are missing */
export function findDamage(bytes, frame) {
  const tables = {};
  let damage = "", restart = 0;
  for (const segment of segmentsOf(bytes)) {
    const { marker, body, at } = segment;
    if (marker === TABLES) readTables(body, tables);
    if (marker === INTERVAL) restart = (body[0] << 8) | body[1];
    if (marker !== SCAN) continue;
    const bits = new Bits(bytes, at);
    if (frame.process === PROGRESSIVE) walkProgressive(bits, frame, body, tables, restart);
    else walk(bits, blocksOf(frame, body, tables), restart);
    if (!bits.ended()) damage = "leftover";
    segment.next = bits.next();
  }
  if (frame.process === PROGRESSIVE && !frame.parts.every(({ left }) => left?.every((bit) => bit === 0))) throw damaged("JPEG");
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

/** How many groups of blocks a scan has, and the part and tables [DC, AC] of each block in a group; T.81, A.2. */
function blocksOf({ width, height, parts }, body, tables, needed = [true, true]) {
  const [across, down] = ["h", "v"].map((way) => Math.max(...parts.map((part) => part[way])));
  const scanned = Array.from({ length: body[0] }, (_, i) => {
    const part = parts.find(({ id }) => id === body[1 + 2 * i]), ids = body[2 + 2 * i];
    const pair = [tables[ids >> 4], tables[16 + (ids & 15)]];
    if (!part || needed.some((one, k) => one && !pair[k])) throw damaged("JPEG");
    return { part, pair };
  });
  if (!scanned.length) throw damaged("JPEG");
  const [one] = scanned, alone = scanned.length === 1;
  const wide = alone ? Math.ceil((width * one.part.h) / across / 8) : Math.ceil(width / (8 * across));
  const tall = alone ? Math.ceil((height * one.part.v) / down / 8) : Math.ceil(height / (8 * down));
  return { groups: wide * tall, scanned, group: scanned.flatMap(({ part: { h, v }, pair }) => Array(alone ? 1 : h * v).fill(pair)) };
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

/** A scan of a progressive JPEG: DC or AC, the first bits of coefficients or one more; T.81, annex G. */
function walkProgressive(bits, frame, body, tables, restart) {
  const [first, last, precision] = body.subarray(1 + 2 * body[0]), high = precision >> 4, low = precision & 15;
  const { groups, group, scanned } = blocksOf(frame, body, tables, [first === 0 && !high, first > 0]);
  if (last > 63 || first > last || (first && scanned.length > 1)) throw damaged("JPEG");
  for (const { part } of scanned) (part.left ??= new Uint8Array(64).fill(99)).fill(low, first, last + 1);
  const [{ part, pair }] = scanned, known = first ? (part.known ??= new Uint8Array(64 * groups)) : null;
  const run = { blocks: 0 };
  for (let done = 0; done < groups; done++) {
    if (restart && done && done % restart === 0) {
      bits.restart((done / restart - 1) % 8);
      run.blocks = 0;
    }
    if (first) (high ? refine : begin)(bits, pair[1], known.subarray(64 * done, 64 * done + 64), first, last, run);
    else for (const [dc] of group) bits.skip(high ? 1 : bits.symbol(dc));
  }
}

/** The first bits of a block's AC coefficients; `known` marks those that are not zero; G.1.2.2. */
function begin(bits, table, known, first, last, run) {
  if (run.blocks) return (run.blocks -= 1);
  for (let k = first; k <= last; k++) {
    const symbol = bits.symbol(table), zeros = symbol >> 4, size = symbol & 15;
    if (!size && zeros < 15) return (run.blocks = 2 ** zeros + bits.take(zeros) - 1);
    k += zeros;
    if (k > last) throw damaged("JPEG");
    if (size) known[k] = 1;
    bits.skip(size);
  }
}

/** One more bit of those that are known, and those that begin with it; G.1.2.3. */
function refine(bits, table, known, first, last, run) {
  let k = first;
  while (!run.blocks && k <= last) {
    const symbol = bits.symbol(table), size = symbol & 15;
    let zeros = symbol >> 4;
    if (!size && zeros < 15) {
      run.blocks = 2 ** zeros + bits.take(zeros);
      break;
    }
    if (size > 1) throw damaged("JPEG");
    bits.skip(size);
    for (; k <= last && (known[k] || zeros--); k++) if (known[k]) bits.skip(1);
    if (size && k > last) throw damaged("JPEG");
    if (size) known[k] = 1;
    k += 1;
  }
  if (!run.blocks) return;
  for (; k <= last; k++) if (known[k]) bits.skip(1);
  run.blocks -= 1;
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

  /** So many bits as a number. */
  take(count) {
    this.need(count);
    const bits = (this.value >>> (this.count - count)) & (2 ** count - 1);
    this.skip(count);
    return bits;
  }

  /** A difference of a lossless scan: its number of bits is coded, the bits follow; T.81, F.2.2.1 and H.1.2.2. */
  difference(table) {
    const size = this.symbol(table);
    if (!size) return 0;
    if (size >= 16) return 32768;
    const bits = this.take(size);
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

/**
 * Whether all blocks behind one block are brighter or darker by one amount, as behind a wrong DC difference: the jump across
 * the upper edges, in raster order, is the same over one row's length, part of one edge and part of the next, and absent
 * from the rest of both (lucency.film.codestream.has_step).
 */
export function hasStep({ pixels, width, height }) {
  const across = Math.floor(width / BLOCK), edges = jumps(pixels, width, height, across);
  if (!edges || across < 4) return false;
  const { sums, total } = edges, between = (from, to) => sums.map((sum) => sum[to] - sum[from]);
  for (let start = 0; start + across <= total; start++) {
    const turn = Math.min((Math.floor(start / across) + 1) * across, total), stop = Math.min(turn + across, total);
    const [first, second] = [between(start, turn), between(turn, start + across)];
    const rest = [between(turn - across, start), between(start + across, stop)];
    const [number, jump, squares] = first.map((value, i) => value + second[i]), mean = ([count, sum]) => sum / Math.max(count, 1);
    const level = Math.min(...[first, second].map((part) => Math.sign(jump) * mean(part)));
    const other = Math.max(...rest.map((part) => Math.abs(mean(part))));
    const known = Math.min(first[0], second[0]) >= 2 && number >= across / 2;
    const evenness = Math.abs(jump) / Math.max(Math.sqrt(number * squares), 1e-9), square = evenness * evenness;
    const even = evenness >= MIN_EVENNESS && number * square >= MIN_SURE * MIN_SURE * (1 - square);
    if (known && even && level >= MIN_STEP && 2 * level >= Math.abs(jump) / Math.max(number, 1) && other < level) return true;
  }
  return false;
}

/** Of the upper edges of all blocks but the first row's, running sums: how many are usable, their jumps, the squares. */
function jumps(pixels, width, height, across) {
  const rows = Math.max(Math.ceil((height - 1) / BLOCK) - 1, 0), total = rows * across;
  if (rows < 2) return null;
  const sums = [0, 1, 2].map(() => new Float64Array(total + 1));
  for (let block = 0; block < total; block++) {
    const row = (Math.floor(block / across) + 1) * BLOCK * width, start = row + (block % across) * BLOCK;
    let count = 0, sum = 0;
    for (let at = start; at < start + BLOCK; at++) {
      const [before, above, below, after] = [pixels[at - 2 * width], pixels[at - width], pixels[at], pixels[at + width]];
      if (Math.min(above, below) <= 1 || Math.max(above, below) >= 254) continue; // clipped, a jump shows no more
      count += 1;
      sum += below - above - 0.5 * (above - before + (after - below));
    }
    const mean = sum / Math.max(count, 1), usable = Number(count >= BLOCK / 2);
    [usable, mean * usable, mean * mean * usable].forEach((value, i) => { sums[i][block + 1] = sums[i][block] + value; });
  }
  return { sums, total };
}
