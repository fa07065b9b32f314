// Limits on size, narrower than those of lucency.film.limits: a tab has less memory; and the wording of refusals.

import { say } from "./i18n.js";

const MAX_PIXELS = 40_000_000, MAX_SIDE = 20_000;
export const MAX_BYTES = 256 * 2 ** 20;

/** A film that cannot be read. The message is one line: what was found, what is accepted, what to do. */
export class FilmError extends Error {}

/** The error for what was found, by the names of two texts and the values of their {places}. */
export function refusal(found, advice = "advice_export", values = {}) {
  return new FilmError(say("refusal", { found: say(found, values), advice: say(advice, values) }));
}

export const damaged = (kind) => refusal("found_damaged", "advice_damaged", { kind });

/** Refuse a film that is too large, by its header, before anything is decoded. */
export function checkSize(width, height) {
  if (!(width >= 1 && height >= 1)) throw refusal("found_size", "advice_export", { width, height });
  if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) {
    throw refusal("found_size", "advice_smaller", { width, height, megapixels: MAX_PIXELS / 1e6, side: MAX_SIDE });
  }
}
