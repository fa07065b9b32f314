// What is too much, and how a refusal is worded; the limits are those of lucency.film.limits.

import { say } from "./say.js";

export const MAX_PIXELS = 100_000_000;
export const MAX_SIDE = 20_000;
export const MAX_BYTES = 256 * 2 ** 20;

/** A film that cannot be read: one line, what was found, what is accepted, what to do. */
export class FilmError extends Error {}

/** The refusal of what was found, by the names of two texts and what fills them. */
export function refusal(found, advice = "advice_export", values = {}) {
  const words = { found: say(found, values), advice: say(advice, values) };
  return new FilmError(say("refusal", words));
}

export const damaged = (kind) => refusal("found_damaged", "advice_damaged", { kind });

/** Refuse a film too large to decode, by its header, before anything is decoded. */
export function checkSize(width, height) {
  if (!(width >= 1 && height >= 1)) throw refusal("found_size", "advice_export", { width, height });
  if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) {
    const most = { megapixels: MAX_PIXELS / 1e6, side: MAX_SIDE };
    throw refusal("found_size", "advice_smaller", { width, height, ...most });
  }
}
