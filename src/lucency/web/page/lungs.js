// Where the lungs are on a film, as lucency.lungs finds them: a small U-Net, run in the decoder's worker.

import { resized } from "./lucency.js";

const SMALLEST = 0.005;
/** A piece smaller than this share of the film is no lung. */
let network = null;

/**
 * @param {{pixels: Uint8Array, width: number, height: number}} film
 * @returns {Promise<{grid: Float32Array, side: number}>} a grid over the whole film, above zero in the lungs
 */
export async function findLungs(film) {
  const { side, weights } = await (network ??= load());
  return twoLungs(logits(standardised(resized(film, side).pixels), weights));
}

/** Its arrays by name: `lungs.json` lists names and lengths in the order in which `lungs.bin` holds them, as float16. */
async function load() {
  const [{ side, arrays }, content] = await Promise.all([
    fetch("lungs.json").then((told) => told.json()), fetch("lungs.bin").then((told) => told.arrayBuffer()),
  ]);
  const values = Float32Array.from(new Uint16Array(content), half), weights = {};
  let at = 0;
  for (const [name, length] of arrays) weights[name] = values.subarray(at, (at += length));
  return { side, weights };
}

/** The number that 16 bits stand for: IEEE 754, binary16. */
function half(bits) {
  const exponent = (bits >> 10) & 31, digits = bits & 1023, sign = bits >> 15 ? -1 : 1;
  return sign * (exponent ? (1024 + digits) * 2 ** (exponent - 25) : digits * 2 ** -24);
}

/** Mean 0 and standard deviation 1: exposure does not matter. */
function standardised(square) {
  const mean = square.reduce((sum, value) => sum + value, 0) / square.length;
  const spread = Math.sqrt(square.reduce((sum, value) => sum + (value - mean) ** 2, 0) / square.length);
  return { values: Float32Array.from(square, (value) => (value - mean) / (spread + 1)), side: Math.sqrt(square.length), channels: 1 };
}

function logits(film, weights) {
  const levels = (pattern) => Object.keys(weights).filter((name) => pattern.test(name)).length;
  const skipped = [];
  let x = film;
  for (let level = 0; level < levels(/^down\d+a\.weight$/); level++) {
    if (level) skipped.push(x);
    if (level) x = halved(x);
    for (const step of "ab") x = layer(x, weights, `down${level}${step}`);
  }
  for (let level = 0; level < levels(/^up\d+\.weight$/); level++) x = layer(beside(doubled(x), skipped.at(-1 - level)), weights, `up${level}`);
  const cells = x.side ** 2, last = weights["last.weight"], grid = new Float32Array(cells).fill(weights["last.bias"][0]);
  for (let channel = 0; channel < x.channels; channel++) {
    for (let at = 0; at < cells; at++) grid[at] += last[channel] * x.values[channel * cells + at];
  }
  return { grid, side: x.side };
}

/** A 3 × 3 convolution, zeros around, and ReLU. */
function layer({ values, side, channels }, weights, name) {
  const bias = weights[`${name}.bias`], kernel = weights[`${name}.weight`], cells = side * side;
  const out = new Float32Array(bias.length * cells), wide = side + 2, padded = new Float32Array(channels * wide * wide);
  for (let row = 0; row < channels * side; row++) {
    padded.set(values.subarray(row * side, (row + 1) * side), (row + 2 * Math.floor(row / side) + 1) * wide + 1);
  }
  for (let to = 0; to < bias.length; to++) {
    const sum = out.subarray(to * cells, (to + 1) * cells).fill(bias[to]);
    for (let from = 0; from < channels; from++) add(sum, side, padded.subarray(from * wide * wide), kernel.subarray((to * channels + from) * 9));
    for (let at = 0; at < cells; at++) if (sum[at] < 0) sum[at] = 0;
  }
  return { values: out, side, channels: bias.length };
}

function add(sum, side, padded, [a, b, c, d, e, f, g, h, i]) {
  const wide = side + 2;
  for (let y = 0, at = 0; y < side; y++) {
    for (let p = y * wide, q = p + wide, r = q + wide, end = p + side; p < end; p++, q++, r++, at++) {
      sum[at] += a * padded[p] + b * padded[p + 1] + c * padded[p + 2] + d * padded[q] + e * padded[q + 1] + f * padded[q + 2] +
        g * padded[r] + h * padded[r + 1] + i * padded[r + 2];
    }
  }
}

/** The largest of each 2 × 2. */
function halved({ values, side, channels }) {
  const half = side / 2, out = new Float32Array(channels * half * half);
  for (let row = 0, at = 0; row < channels * half; row++) {
    for (let x = 0, p = 2 * row * side; x < half; x++, p += 2, at++) {
      out[at] = Math.max(values[p], values[p + 1], values[p + side], values[p + side + 1]);
    }
  }
  return { values: out, side: half, channels };
}

/** Each cell twice as large. */
function doubled({ values, side, channels }) {
  const wide = 2 * side, out = new Float32Array(channels * wide * wide);
  for (let row = 0, at = 0; row < channels * wide; row++) {
    for (let x = 0; x < wide; x++, at++) out[at] = values[(row >> 1) * side + (x >> 1)];
  }
  return { values: out, side: wide, channels };
}

function beside(one, other) {
  const values = new Float32Array(one.values.length + other.values.length);
  values.set(one.values);
  values.set(other.values, one.values.length);
  return { values, side: one.side, channels: one.channels + other.channels };
}

/** Above zero only in the two largest pieces and their holes. */
function twoLungs({ grid, side }) {
  const inside = pieces(grid.map((value) => Number(value > 0)), side).filter((piece) => piece.length >= SMALLEST * grid.length);
  const lungs = new Uint8Array(grid.length);
  for (const piece of inside.sort((a, b) => b.length - a.length).slice(0, 2)) for (const at of piece) lungs[at] = 1;
  const edge = (at) => at % side === 0 || at % side === side - 1 || at < side || at >= grid.length - side;
  for (const hole of pieces(lungs.map((value) => 1 - value), side)) if (!hole.some(edge)) for (const at of hole) lungs[at] = 1;
  return { grid: grid.map((value, at) => Math.max(Math.abs(value), 0.1) * (lungs[at] ? 1 : -1)), side };
}

/** Connected pieces (4 neighbours) of a mask: the cells of each. */
function pieces(mask, side) {
  const left = Uint8Array.from(mask), found = [];
  for (let start = left.indexOf(1); start >= 0; start = left.indexOf(1, start + 1)) {
    const piece = [start];
    left[start] = 0;
    for (const at of piece) {
      const near = [at % side ? at - 1 : -1, (at + 1) % side ? at + 1 : -1, at - side, at + side];
      for (const next of near) if (left[next]) piece.push(next) && (left[next] = 0);
    }
    found.push(piece);
  }
  return found;
}
