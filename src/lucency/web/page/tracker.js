// The film's corners in one picture after another: searched for in small copies, held still where a hand trembles.

import { findFilm, refineFilm } from "./film_detection.js";

const SMALL = 160, LARGE = 640;
/** Pixels along the longer side of what is searched, and of what corners are refined in. */
const CALM = 0.6, STILL = 0.03, LOST = 0.08;
/** How much of the last corners stays in the next, less the farther they move; shares of the picture: where nothing
 *  stays, and where it is another film. */
const SEARCH = 4;
/** Each so-many-th picture of a film that is held still is searched whole, the others near the last corners. */
const PICTURES = 16, PATIENCE = 5;
/** Pictures of a film that are averaged; pictures without a film for which the last one still holds. */

/** Corners as shares of width and height, or null. @param {{pixels, width, height}} photo gray */
export function findCorners(photo) {
  const { pixels, width, height } = shrink(photo, SMALL);
  return findFilm(pixels, width, height);
}

/** Corners laid anew through the edges of a larger copy; null where too few show near them. */
export function refineCorners(photo, corners) {
  const { pixels, width, height } = shrink(photo, LARGE);
  return refineFilm(pixels, width, height, corners);
}

/** Corners searched for in a small copy, and laid through the edges of a larger one. */
export function sharpCorners(photo) {
  const found = findCorners(photo);
  return found && (refineCorners(photo, found) ?? found);
}

/** A copy about so many pixels long, each pixel the mean of a block. */
function shrink({ pixels, width, height }, most) {
  const block = Math.max(1, Math.round(Math.max(width, height) / most));
  if (block === 1) return { pixels, width, height };
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
  constructor() {
    Object.assign(this, { corners: null, film: null, pictures: 0, missed: 0, still: false, turn: 0, found: null });
  }

  /** Corners in the next picture: near the last ones while the film is held still, but for each so-many-th picture. */
  search(photo) {
    this.turn = this.still && this.found ? (this.turn + 1) % SEARCH : 0;
    return (this.found = (this.turn && refineCorners(photo, this.found)) || sharpCorners(photo));
  }

  /** The corners to go by now. @param found by `search` */
  follow(found) {
    const before = this.corners;
    this.missed = found ? 0 : this.missed + 1;
    if (!found && this.missed <= PATIENCE) return before;
    const moved = (at, i) => Math.hypot(at.x - before[i].x, at.y - before[i].y);
    const far = found && before ? Math.max(...found.map(moved)) : Infinity;
    if (far > LOST) Object.assign(this, { film: null, pictures: 0 });
    this.still = far < STILL;
    const kept = CALM * Math.max(0, 1 - far / STILL);
    const mixed = ({ x, y }, i) => (kept ? { x: mix(kept, before[i].x, x), y: mix(kept, before[i].y, y) } : { x, y });
    return (this.corners = found && found.map(mixed));
  }

  /**
   * The last few pictures of the film as one: noise and a screen's stripes differ from one to the next, the film does not.
   * @param {{pixels, width, height}} film rectified, of one size until another film is followed
   */
  average(film) {
    const before = this.film?.mean ?? film.pixels, mean = new Float32Array(before.length), pixels = new Uint8Array(before.length);
    this.pictures = Math.min(this.pictures + 1, PICTURES);
    for (let at = 0; at < mean.length; at++) {
      mean[at] = mix(1 - 1 / this.pictures, before[at], film.pixels[at]);
      pixels[at] = mean[at] + 0.5;
    }
    this.film = { mean, width: film.width, height: film.height };
    return { ...film, pixels };
  }
}
