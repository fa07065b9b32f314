// What a photograph of a film adds to it: the reflection of a lamp, and the stripes of a screen's pixels.

import { say } from "./i18n.js";

const WHITE = 252, MIDDLE = 0.08, GLARE = 0.003;
/** A spot that is white all over; the rim, as a share, where films have white letters; the share of the film that a spot
 *  of glare covers. docs/web.md says how often it is seen, and seen where there is none. */
const SIDE = 128, PEAKS = 2, STRIPES = 12;
/** Pixels of the square in the film's middle whose frequencies are looked at; how many must stand out, and how many
 *  times the median of their ring. */

const turns = (wave) => Float64Array.from({ length: SIDE / 2 }, (_, k) => wave((2 * Math.PI * k) / SIDE));
const COSINES = turns(Math.cos), SINES = turns(Math.sin);

/** Doubts of a rectified photograph. @param {{pixels, width, height}} film gray @returns what `inputDoubts` does */
export function cameraDoubts(film) {
  const doubts = [], add = (refuses, code) => doubts.push({ code, words: say(`doubt_${code}`), refuses, explains: false });
  if (whiteSpot(film) > GLARE) add(true, "glare");
  if (stripes(film) > STRIPES) add(false, "stripes");
  return doubts;
}

/** The largest connected white spot within the rim, as a share of the film. */
export function whiteSpot({ pixels, width, height }) {
  const [left, top] = [width, height].map((side) => Math.floor(MIDDLE * side)), seen = new Uint8Array(pixels.length);
  const inside = (at) => at % width >= left && at % width < width - left && at >= top * width && at < (height - top) * width;
  let most = 0;
  for (let start = 0; start < pixels.length; start++) {
    if (seen[start] || pixels[start] < WHITE || !inside(start)) continue;
    const spot = [start];
    seen[start] = 1;
    for (let i = 0; i < spot.length; i++) {
      for (const next of [spot[i] - 1, spot[i] + 1, spot[i] - width, spot[i] + width]) {
        if (seen[next] || !(pixels[next] >= WHITE) || !inside(next)) continue;
        seen[next] = 1;
        spot.push(next);
      }
    }
    most = Math.max(most, spot.length);
  }
  return most / pixels.length;
}

/** How far the strongest frequencies of the film's middle stand out from others as high: 1 where none does. */
export function stripes(film) {
  if (Math.min(film.width, film.height) < SIDE) return 1;
  const rings = new Map(), strengths = spectrum(film);
  strengths.forEach((strength, at) => {
    const x = at % SIDE, ring = Math.floor(Math.hypot(Math.floor(at / SIDE), Math.min(x, SIDE - x)));
    if (ring < SIDE / 10 || ring >= SIDE / 2 - 2) return;
    if (!rings.has(ring)) rings.set(ring, []);
    rings.get(ring).push(strength);
  });
  const strongest = [...rings.values()].flatMap((ring) => {
    const sorted = ring.sort((a, b) => a - b), median = sorted[sorted.length >> 1] || 1;
    return sorted.slice(-PEAKS).map((strength) => strength / median);
  });
  return strongest.sort((a, b) => b - a)[PEAKS - 1];
}

/** Strengths of the frequencies of the film's middle, half the plane: (SIDE / 2 + 1) × SIDE. The other half says the same. */
function spectrum({ pixels, width, height }) {
  const left = (width - SIDE) >> 1, top = (height - SIDE) >> 1, real = new Float64Array(SIDE * SIDE);
  const hann = Float64Array.from({ length: SIDE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / SIDE));
  const fill = (value) => real.forEach((_, at) => (real[at] = value(Math.floor(at / SIDE), at % SIDE, real[at])));
  fill((y, x) => pixels[(top + y) * width + left + x]);
  const mean = real.reduce((sum, value) => sum + value) / real.length, imaginary = new Float64Array(real.length);
  fill((y, x, value) => (value - mean) * hann[x] * hann[y]);
  for (let i = 0; i < SIDE; i++) transform(real, imaginary, i * SIDE, 1);
  for (let i = 0; i < SIDE; i++) transform(real, imaginary, i, SIDE);
  return real.slice(0, (SIDE / 2 + 1) * SIDE).map((value, at) => Math.hypot(value, imaginary[at]));
}

/** The discrete Fourier transform in place (Cooley and Tukey 1965) of SIDE numbers, `step` apart from `start` on. */
function transform(real, imaginary, start, step) {
  const at = (i) => start + i * step, swap = (list, i, j) => ([list[at(i)], list[at(j)]] = [list[at(j)], list[at(i)]]);
  for (let i = 1, j = 0; i < SIDE; i++) {
    let bit = SIDE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real, imaginary].forEach((list) => swap(list, i, j));
  }
  for (let size = 2; size <= SIDE; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const cosine = COSINES[(k * SIDE) / size], sine = -SINES[(k * SIDE) / size];
      for (let i = k; i < SIDE; i += size) {
        const a = at(i), b = at(i + size / 2);
        const r = real[b] * cosine - imaginary[b] * sine, m = real[b] * sine + imaginary[b] * cosine;
        real[b] = real[a] - r;
        imaginary[b] = imaginary[a] - m;
        real[a] += r;
        imaginary[a] += m;
      }
    }
  }
}
