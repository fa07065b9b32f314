// DICOM: one gray frame, made for presentation, in the gray its header prescribes, as lucency.film.dicom reads it.
// Uncompressed, RLE and baseline JPEG; for any other transfer syntax the refusal says what to do.

import { grayTable, number } from "./dicom_gray.js";
import { parse } from "./dicom_parse.js";
import { checkJpeg, readJpeg } from "./jpeg.js";
import { checkSize, damaged, FilmError, refusal } from "./refuse.js";
import { unpacked } from "./rle.js";

const RLE = "1.2.840.10008.1.2.5", JPEG = "1.2.840.10008.1.2.4.50", DEFLATED = "1.2.840.10008.1.2.1.99";
const PLAIN = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"];
const NAMES = {
  "1.2.840.10008.1.2.4.51": "JPEG Extended",
  "1.2.840.10008.1.2.4.57": "JPEG Lossless",
  "1.2.840.10008.1.2.4.70": "JPEG Lossless, first order",
  "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
  "1.2.840.10008.1.2.4.81": "JPEG-LS",
  "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
  "1.2.840.10008.1.2.4.91": "JPEG 2000",
};
const FOR_PROCESSING = [
  "1.2.840.10008.5.1.4.1.1.1.1.1",
  "1.2.840.10008.5.1.4.1.1.1.2.1",
  "1.2.840.10008.5.1.4.1.1.1.3.1",
];
const REQUIRED = { Rows: "00280010", Columns: "00280011", BitsAllocated: "00280100", BitsStored: "00280101" };

/** @param {Uint8Array} bytes @returns {Promise<{pixels, width, height, bits, facts}>} */
export async function readDicom(bytes) {
  try {
    const dataset = parse(bytes);
    const head = checked(dataset);
    const codes = await codesOf(dataset, head);
    const { table, voi } = grayTable(dataset, head.bits, head.signed);
    const pixels = new table.constructor(codes.length);
    for (let i = 0; i < codes.length; i++) pixels[i] = table[codes[i]];
    const facts = { view: view(dataset), body_part: dataset.text("00180015"), voi, bits: String(head.bits) };
    return { pixels, width: head.width, height: head.height, bits: head.bits <= 8 ? 8 : 16, facts };
  } catch (error) {
    throw error instanceof FilmError ? error : damaged("DICOM");
  }
}

/** Refuse, before anything is decoded, what is no single gray frame for presentation; give what counts of the rest. */
function checked(dataset) {
  if (dataset.syntax === DEFLATED) throw refusal("found_deflated", "advice_syntax");
  if (!dataset.has("7FE00010")) throw refusal("found_no_pixels", "advice_pixels");
  const raw = dataset.text("00080068").toUpperCase() === "FOR PROCESSING";
  if (raw || FOR_PROCESSING.includes(dataset.text("00080016"))) throw refusal("found_raw", "advice_presentation");
  const frames = number(dataset, "00280008", "NumberOfFrames") || 1;
  if (frames !== 1) throw refusal("found_frames", "advice_frame", { frames });
  const photometric = dataset.text("00280004") || "nothing";
  if ((dataset.integer("00280002") ?? 1) !== 1 || !["MONOCHROME1", "MONOCHROME2"].includes(photometric)) {
    throw refusal("found_colour", "advice_original", { photometric: photometric.replace(/[^\w ]/g, "?") });
  }
  const missing = Object.keys(REQUIRED).filter((name) => dataset.integer(REQUIRED[name]) === undefined);
  if (missing.length) throw refusal("found_missing", "advice_header", { names: missing.join(" and ") });
  const [height, width, allocated, bits] = Object.values(REQUIRED).map((tag) => dataset.integer(tag));
  checkSize(width, height);
  const high = dataset.integer("00280102") ?? bits - 1;
  if (![8, 16].includes(allocated) || !(1 < bits && bits <= allocated && bits - 1 <= high && high < allocated)) {
    throw refusal("found_bits", "advice_bits", { bits, allocated });
  }
  return { height, width, allocated, bits, high, signed: Boolean(dataset.integer("00280103")) };
}

/** The bits that count of every pixel. Overlays and rubbish may lie in the others; compressed values start at bit 0. */
async function codesOf(dataset, { height, width, allocated, bits, high }) {
  const raw = await stored(dataset, width, height, allocated);
  const below = PLAIN.includes(dataset.syntax) ? high + 1 - bits : 0, mask = 2 ** bits - 1;
  const codes = new Uint16Array(width * height);
  for (let i = 0; i < codes.length; i++) codes[i] = (raw[i] >> below) & mask;
  return codes;
}

async function stored(dataset, width, height, allocated) {
  const { syntax } = dataset, size = width * height;
  if (PLAIN.includes(syntax)) return words(dataset, size, allocated);
  if (syntax === RLE) return unpacked(dataset.frame(), size, allocated / 8);
  if (syntax !== JPEG || allocated !== 8) {
    throw refusal("found_syntax", "advice_syntax", { syntax: NAMES[syntax] ?? "another syntax" });
  }
  const frame = dataset.frame();
  checkJpeg(frame, 1);
  const picture = await readJpeg(frame);
  if (picture.width !== width || picture.height !== height) throw refusal("found_short", "advice_export");
  return picture.pixels;
}

function words(dataset, size, allocated) {
  const bytes = dataset.bytes("7FE00010");
  if (bytes.length < size * (allocated / 8)) throw refusal("found_short", "advice_export");
  if (allocated === 8) {
    // In big endian the bytes of 8-bit pixels in OW lie swapped in pairs (PS3.5, 8.1.2).
    return dataset.little || dataset.vr("7FE00010") !== "OW" ? bytes : bytes.map((_, i) => bytes[i ^ 1]);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint16Array.from({ length: size }, (_, i) => view.getUint16(2 * i, dataset.little));
}

/** ViewPosition, or the meaning of ViewCodeSequence, which digital radiographs have instead. */
function view(dataset) {
  return dataset.text("00185101") || dataset.items("00540220")[0]?.text("00080104") || "";
}
