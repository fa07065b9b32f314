// A file's bytes → Film: gray, bright = dense, with its colours where it has them, as faithful as the file. The content decides what a file is, not its name.

import { readDicom } from "./dicom.js";
import { MAX_BYTES, refusal } from "./errors.js";
import { readJpeg } from "./jpeg.js";
import { gray8 } from "./lucency.js";
import { readPng, upright } from "./png.js";

const READERS = { PNG: async (bytes) => upright(await readPng(bytes)), JPEG: readJpeg, DICOM: readDicom };

/** [where, which bytes, kind]: as in lucency.film.film. A kind that is not read names the text that says what it is. */
const SIGNATURES = [
  [128, "DICM", "DICOM"],
  [0, "\x89PNG\r\n\x1a\n", "PNG"],
  [0, "\xff\xd8\xff", "JPEG"],
  [0, "II*\0", "kind_tiff"],
  [0, "MM\0*", "kind_tiff"],
  [0, "II+\0", "kind_tiff"],
  [0, "MM\0+", "kind_tiff"],
  [0, "GIF8", "kind_gif"],
  [0, "BM", "kind_bmp"],
  [8, "WEBP", "kind_webp"],
  [4, "ftypavif", "kind_avif"],
  [4, "ftyphei", "kind_heic"],
  [4, "ftypmif1", "kind_heic"],
  [4, "ftyp", "kind_video"],
  [0, "\0\0\0\x0cjP  \r\n\x87\n", "kind_jpeg2000"],
  [0, "\xff\x4f\xff\x51", "kind_jpeg2000"],
  [0, "\0\0\0\x0cJXL ", "kind_jpegxl"],
  [0, "\xff\x0a", "kind_jpegxl"],
  [0, "%PDF", "kind_pdf"],
  [0, "PK\x03\x04", "kind_zip"],
  [0, "\x1f\x8b", "kind_gzip"],
  [344, "n+1\0", "kind_nifti"],
  // The first elements of a data set without preamble.
  [0, "\x02\0\0\0", "DICOM"],
  [0, "\x08\0\0\0", "DICOM"],
  [0, "\x08\0\x05\0", "DICOM"],
  [0, "\x08\0\x08\0", "DICOM"],
  [0, "\x08\0\x16\0", "DICOM"],
];

/**
 * @param {Uint8Array} bytes a whole file
 * @returns {Promise<{pixels: Uint8Array, wide: Uint16Array|null, colour: Uint8Array|null, width, height, facts: object}>}
 *   pixels: 8 bits, what a gray network reads; wide: the 16 bits behind them, for windowing the picture; colour: red, green
 *   and blue of each pixel, where the file has them; facts: never kept
 * @throws {FilmError}
 */
export async function openFilm(bytes) {
  if (bytes.length > MAX_BYTES) {
    const [mebibytes, most] = [bytes.length, MAX_BYTES].map((size) => Math.round(size / 2 ** 20));
    throw refusal("found_large", "advice_file", { mebibytes, most });
  }
  const kind = kindOf(bytes);
  if (!(kind in READERS)) throw refusal(kind, kind === "kind_tiff" ? "advice_tiff" : "advice_export");
  const { pixels, colour = null, width, height, facts = {} } = await READERS[kind](bytes);
  const wide = pixels instanceof Uint16Array ? pixels : null;
  return { pixels: wide ? gray8(wide) : pixels, wide, colour, width, height, facts: { format: kind, ...facts } };
}

/** PNG, JPEG or DICOM; else the name of the text that says what it is. */
function kindOf(bytes) {
  if (!bytes.length) return "found_empty";
  const starts = (at, text) => [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
  const known = SIGNATURES.find(([at, text]) => starts(at, text));
  if (known) return known[2];
  const head = bytes.subarray(0, 512);
  if (head.every((value) => value === 0)) return "found_zeros";
  if (!head.every((value) => value < 128)) return "found_unknown";
  return /^\s*<(!doctype|html|\?xml|svg)/i.test(String.fromCharCode(...head)) ? "found_page" : "found_text";
}
