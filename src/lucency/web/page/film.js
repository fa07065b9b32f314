// A file's bytes → Film: gray, bright = dense, as faithful as the file. What a file is, its content says, never its name.

import { readDicom } from "./dicom.js";
import { upright } from "./exif.js";
import { readJpeg } from "./jpeg.js";
import { kindOf } from "./kinds.js";
import { gray8 } from "./lucency.js";
import { readPng } from "./png.js";
import { FilmError, MAX_BYTES, refusal } from "./refuse.js";
import { say } from "./say.js";

const READERS = { PNG: async (bytes) => upright(await readPng(bytes)), JPEG: readJpeg, DICOM: readDicom };

/**
 * @param {Uint8Array} bytes a whole file
 * @returns {Promise<{pixels: Uint8Array, wide: Uint16Array|null, width: number, height: number, facts: object}>}
 *   pixels: 8 bits, what is read; wide: the 16 bits behind them, for the window of the picture; facts: never kept
 * @throws {FilmError} one line: what was found, what is accepted, what to do
 */
export async function openFilm(bytes) {
  if (bytes.length > MAX_BYTES) tooLarge(bytes.length);
  const kind = kindOf(bytes);
  if (!(kind in READERS)) throw refusal(kind, kind === "kind_tiff" ? "advice_tiff" : "advice_export");
  const { pixels, width, height, facts = {} } = await READERS[kind](bytes);
  const wide = pixels instanceof Uint16Array ? pixels : null;
  return { pixels: wide ? gray8(wide) : pixels, wide, width, height, facts: { format: kind, ...facts } };
}

function tooLarge(size) {
  const [found, most] = [size, MAX_BYTES].map((value) => Math.round(value / 2 ** 20));
  throw new FilmError(say("refusal", { found: say("found_large", { mebibytes: found }), advice: say("advice_file", { mebibytes: most }) }));
}
