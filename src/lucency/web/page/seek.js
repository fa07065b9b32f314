// Where the film lies in one picture after another: searched for in small copies, and held still where a hand trembles.

import { findFilm, refineFilm } from "./find.js";
import { calibrated } from "./lucency.js";

const SMALL = 160, LARGE = 640;
/** Pixels along the longer side of what is searched, and of what corners are refined in. */
const CALM = 0.6, STILL = 0.03, LOST = 0.08;
/** How much of the last corners stays in the next, less the farther they move; shares of the picture: where it is all
 *  the hand's and nothing stays, and where it is another film. */
const MEMORY = 0.7, PATIENCE = 5;
/** How much of the last answers stays in the next; pictures without a film for which the last one still holds. */

/** Its corners, as shares of width and height, or null. @param {{pixels, width, height}} photo gray */
export function found(photo) {
  const { pixels, width, height } = shrunk(photo, SMALL);
  return findFilm(pixels, width, height);
}

/** Corners laid anew through the edges of a larger copy. */
export function refined(photo, corners) {
  const { pixels, width, height } = shrunk(photo, LARGE);
  return refineFilm(pixels, width, height, corners);
}

/** A copy about so many pixels long, each pixel the mean of a block. */
function shrunk({ pixels, width, height }, most) {
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

/** One film followed from picture to picture. */
export class Steady {
  constructor(card) {
    Object.assign(this, { card, corners: null, answers: null, missed: 0 });
  }

  /** The corners to go by now. @param now what `found` gave */
  moved(now) {
    this.missed = now ? 0 : this.missed + 1;
    if (!now && this.missed <= PATIENCE) return this.corners;
    const far = now && this.corners ? Math.max(...now.map((at, i) => Math.hypot(at.x - this.corners[i].x, at.y - this.corners[i].y))) : Infinity;
    if (far > LOST) this.answers = null;
    const kept = CALM * Math.max(0, 1 - far / STILL);
    this.corners = now && now.map(({ x, y }, i) => (kept ? { x: mixed(kept, this.corners[i].x, x), y: mixed(kept, this.corners[i].y, y) } : { x, y }));
    return this.corners;
  }

  /** The answers for the last few pictures together: noise differs from one to the next, the film does not. */
  calmed(answers) {
    const before = this.answers;
    if (!before) return (this.answers = answers);
    const both = (name) => answers[name].map((value, i) => mixed(MEMORY, before[name][i], value));
    const [logits, map, doubts] = ["logits", "map", "doubts"].map(both);
    return (this.answers = { ...answers, logits, map, doubts, probabilities: calibrated(this.card, logits) });
  }
}

const mixed = (share, before, now) => share * before + (1 - share) * now;
