// Tells by its first bytes what a file is: lucency.film.film.

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
  // The first elements of a data set stored without preamble.
  [0, "\x02\0\0\0", "DICOM"],
  [0, "\x08\0\0\0", "DICOM"],
  [0, "\x08\0\x05\0", "DICOM"],
  [0, "\x08\0\x08\0", "DICOM"],
  [0, "\x08\0\x16\0", "DICOM"],
];

/** PNG, JPEG or DICOM; else the name of the text that says what it is. @param {Uint8Array} bytes */
export function kindOf(bytes) {
  if (!bytes.length) return "found_empty";
  const known = SIGNATURES.find(([at, text]) => starts(bytes, at, text));
  return known ? known[2] : unknown(bytes.subarray(0, 512));
}

function starts(bytes, at, text) {
  return bytes.length >= at + text.length && [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
}

function unknown(head) {
  if (head.every((value) => value === 0)) return "found_zeros";
  if (!head.every((value) => value < 128)) return "found_unknown";
  const text = String.fromCharCode(...head).trimStart().toLowerCase();
  return /^<(!doctype|html|\?xml|svg)/.test(text) ? "found_page" : "found_text";
}
