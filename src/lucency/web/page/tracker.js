// The film's corners in one picture after another: searched for in small copies, held still where a hand trembles.

import { findFilm, refineFilm } from "./film_detection.js";
import { calibrated } from "./lucency.js";

const SMALL = 160, LARGE = 640;
/** Pixels along the longer side of what is searched, and of what corners are refined in. */
const CALM = 0.6, STILL = 0.03, LOST = 0.08;
/** How much of the last corners stays in the next, less the farther they move; shares of the picture: where nothing
 *  stays, and where it is another film. */
const MEMORY = 0.7, PATIENCE = 5;
/** How much of the last outputs stays in the next; pictures without a film for which the last one still holds. */
const VOTES = 8, AGREED = 0.75;
/** Pictures whose verdicts are compared; the share that must say the same for a verdict to be steady. */

/** Corners as shares of width and height, or null. @param {{pixels, width, height}} photo gray */
export function findCorners(photo) {
  const { pixels, width, height } = shrink(photo, SMALL);
  return findFilm(pixels, width, height);
}

/** Corners laid anew through the edges of a larger copy. */
export function refineCorners(photo, corners) {
  const { pixels, width, height } = shrink(photo, LARGE);
  return refineFilm(pixels, width, height, corners);
}

/** A copy about so many pixels long, each pixel the mean of a block. */
function shrink({ pixels, width, height }, most) {
  const block = Math.max(1, Math.round(Math.max(width, height) / most));
  const wide = Math.floor(width / block), tall = Math.floor(height / block);
  const small = new Uint8Array(wide * tall);
  for (let y = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++) {
      let sum = 0;
      for (let v = 0; v < block; v++) {
        for (let u = 0, at = (y * block + v) * width + x * block; u < block; u++) sum += pixels[at + u];
      }
      small[y * wide + x] = sum / (block * block);
    }
  }
  return { pixels: small, width: wide, height: tall };
}

const mix = (share, before, now) => share * before + (1 - share) * now;

/** One film, followed from picture to picture. */
export class Tracker {
  constructor(card) {
    Object.assign(this, { card, corners: null, outputs: null, missed: 0, still: false, votes: [] });
  }

  /** The corners to go by now. @param found by `findCorners` */
  follow(found) {
    const before = this.corners;
    this.missed = found ? 0 : this.missed + 1;
    if (!found && this.missed <= PATIENCE) return before;
    const moved = (at, i) => Math.hypot(at.x - before[i].x, at.y - before[i].y);
    const far = found && before ? Math.max(...found.map(moved)) : Infinity;
    if (far > LOST) Object.assign(this, { outputs: null, votes: [] });
    this.still = far < STILL;
    const kept = CALM * Math.max(0, 1 - far / STILL);
    const mixed = ({ x, y }, i) => (kept ? { x: mix(kept, before[i].x, x), y: mix(kept, before[i].y, y) } : { x, y });
    return (this.corners = found && found.map(mixed));
  }

  /** The outputs for the last few pictures together: noise differs from one to the next, the film does not. */
  average(outputs) {
    const before = this.outputs;
    if (!before) return (this.outputs = outputs);
    const both = (name) => outputs[name].map((value, i) => mix(MEMORY, before[name][i], value));
    const [logits, map, doubts] = ["logits", "map", "doubts"].map(both);
    return (this.outputs = { ...outputs, logits, map, doubts, probabilities: calibrated(this.card, logits) });
  }

  /** Whether the last pictures, each read alone, mostly say what they say together. */
  agrees(alone, together) {
    this.votes = [...this.votes, alone].slice(-VOTES);
    return this.votes.filter((verdict) => verdict === together).length >= AGREED * this.votes.length;
  }
}
