// DICOM: one frame, gray as its header prescribes for presentation or in colour, as lucency.film.dicom reads it.
// Uncompressed, RLE, baseline and lossless JPEG, JPEG-LS, JPEG 2000; of any other transfer syntax the refusal says what to do.

import { decodeBy } from "./codecs.js";
import { parse } from "./dicom_parse.js";
import { checkSize, damaged, FilmError, refusal } from "./errors.js";
import { readJpeg, withColours } from "./jpeg.js";
import { decodeLossless } from "./lossless_jpeg.js";
import { gray } from "./lucency.js";
import { profileFacts } from "./png.js";

const RLE = "1.2.840.10008.1.2.5", JPEG = "1.2.840.10008.1.2.4.50", DEFLATED = "1.2.840.10008.1.2.1.99";
const PLAIN = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"];
const NAMES = {
  "1.2.840.10008.1.2.4.51": "JPEG Extended", "1.2.840.10008.1.2.4.57": "lossless JPEG", "1.2.840.10008.1.2.4.70": "lossless JPEG",
  "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless", "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 Lossless",
  "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000", "1.2.840.10008.1.2.4.110": "JPEG XL Lossless", "1.2.840.10008.1.2.4.112": "JPEG XL",
};
/** (frame, width, height, samples) → pixels, by transfer syntax: JPEG Lossless, JPEG-LS, JPEG 2000. */
const DECODERS = {
  "1.2.840.10008.1.2.4.57": decodeLossless,
  "1.2.840.10008.1.2.4.70": decodeLossless,
  "1.2.840.10008.1.2.4.80": (...given) => decodeBy("jpegls", ...given),
  "1.2.840.10008.1.2.4.81": (...given) => decodeBy("jpegls", ...given),
  "1.2.840.10008.1.2.4.90": (...given) => decodeBy("jpeg2000", ...given),
  "1.2.840.10008.1.2.4.91": (...given) => decodeBy("jpeg2000", ...given),
};
const FOR_PROCESSING = ["1", "2", "3"].map((kind) => `1.2.840.10008.5.1.4.1.1.1.${kind}.1`);
const COLOURS = ["RGB", "YBR_FULL", "YBR_FULL_422"], OF_JPEG_2000 = ["YBR_RCT", "YBR_ICT"];
/** The latter of JPEG 2000 alone, whose decoder gives red, green and blue (T.800, annex G). */
const JPEG_2000 = ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"], LOSSLESS_JPEG = ["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"];
const PALETTE = "PALETTE COLOR";
const CT_WINDOW = [-600, 1500];
/** Center and width where a CT states none: lucency.modality. */
const REQUIRED = { Rows: "00280010", Columns: "00280011", BitsAllocated: "00280100", BitsStored: "00280101" };

/** @param {Uint8Array} bytes @returns {Promise<{pixels, colour, width, height, facts}>} */
export async function readDicom(bytes) {
  try {
    const dataset = parse(bytes), head = checkedHeader(dataset);
    const [modality, body_part, age] = ["00080060", "00180015", "00101010"].map((tag) => dataset.text(tag));
    const stated = { view: view(dataset), body_part, modality, age };
    if (head.samples === 3) return inColour(dataset, head, stated, await colourOf(dataset, head));
    const { codes, padded, damage } = await codesOf(dataset, head);
    if (head.photometric === PALETTE) return inColour(dataset, head, stated, { colour: paletteOf(dataset, codes, head), facts: { damage } });
    const { table, voi } = grayTable(dataset, head.bits, head.signed);
    const pixels = new table.constructor(codes.length);
    for (let i = 0; i < codes.length; i++) pixels[i] = padded(i) ? 0 : table[codes[i]];
    const facts = { ...stated, voi, bits: String(head.bits), damage };
    if (isCt(dataset) && !hasRescale(dataset)) facts.rescale = "missing";
    return { pixels, width: head.width, height: head.height, facts };
  } catch (error) {
    throw error instanceof FilmError ? error : damaged("DICOM");
  }
}

/** A picture in colour: as stored, of luminance and chrominance of the full range (PS3.3 C.7.6.3.1.2), a JPEG's, or a palette's. */
function inColour(dataset, { width, height }, stated, { colour, facts }) {
  if (colour?.length !== 3 * width * height) throw refusal("found_short", "advice_export");
  const all = { ...stated, ...facts, bits: "8", voi: "none", ...profileFacts(dataset.has("00282000") ? dataset.bytes("00282000") : undefined) };
  return { pixels: gray(colour, 3), colour, width, height, facts: all };
}

async function colourOf(dataset, head) {
  const { width, height, photometric, allocated, high, bits } = head, size = width * height;
  if (dataset.syntax === JPEG) {
    const picture = await readJpeg(withColours(dataset.frame(), photometric === "RGB"), 3), { damage } = picture.facts;
    return picture.width === width && picture.height === height ? { colour: picture.colour, facts: damage ? { damage } : {} } : {};
  }
  const uncoded = PLAIN.includes(dataset.syntax), half = uncoded && photometric === "YBR_FULL_422";
  const planar = dataset.syntax === RLE || (uncoded && !half && dataset.integer("00280006") === 1);
  const values = uncoded ? uncompressed(dataset, half ? 2 * size : 3 * size, allocated) : await coded(dataset, head);
  const below = allocated === 16 ? (uncoded ? high - 7 : bits - 8) : 0; // of more bits the upper eight are kept
  const asIs = !photometric.startsWith("YBR_FULL"), colour = new Uint8Array(3 * size);
  for (let i = 0; i < size; i++) {
    const pair = 4 * (i >> 1), places = half ? [pair + (i & 1), pair + 2, pair + 3] : [0, 1, 2].map((part) => (planar ? part * size + i : 3 * i + part));
    const [one, two, three] = places.map((place) => (values[place] >> below) & 255);
    colour.set(asIs ? [one, two, three] : rgbOf(one, two - 128, three - 128), 3 * i);
  }
  return { colour, facts: {} };
}

/** Three values a pixel: of RLE one component after another. */
async function coded(dataset, { width, height, allocated }) {
  const { syntax } = dataset;
  if (syntax === RLE) return runLengths(dataset.frame(), width * height, allocated / 8, 3);
  if (LOSSLESS_JPEG.includes(syntax)) throw refusal("found_colour_syntax", "advice_decompress", { syntax: NAMES[syntax] });
  if (!(syntax in DECODERS)) throw refusal("found_syntax", "advice_syntax", { syntax: NAMES[syntax] ?? "another syntax" });
  return (await DECODERS[syntax](dataset.frame(), width, height, 3)).pixels;
}

/** Red, green, blue of the entries that the codes name; of 16-bit entries the upper eight. PS3.3 C.7.9. */
function paletteOf(dataset, codes, { bits, signed }) {
  const values = storedValues(bits, signed), colour = new Uint8Array(3 * codes.length);
  ["1", "2", "3"].forEach((part, channel) => {
    const [descriptor, data] = [`0028110${part}`, `0028120${part}`];
    if (!dataset.has(descriptor) || !dataset.has(data)) throw refusal("found_no_palette", "advice_channels");
    const { values: shown, high } = lookUp(dataset, dataset, values, descriptor, data);
    codes.forEach((code, i) => (colour[3 * i + channel] = (shown[code] * 256) / (high + 1)));
  });
  return colour;
}

/** In libjpeg's fixed point, 16 bits. */
function rgbOf(y, blue, red) {
  const shown = [y + ((91881 * red + 32768) >> 16), y + ((32768 - 22554 * blue - 46802 * red) >> 16), y + ((116130 * blue + 32768) >> 16)];
  return shown.map((value) => Math.min(Math.max(value, 0), 255));
}

/** Refuse, before anything is decoded, all but a single frame for presentation, gray or in colour. */
function checkedHeader(dataset) {
  if (dataset.syntax === DEFLATED) throw refusal("found_deflated", "advice_syntax");
  if (!dataset.has("7FE00010")) throw refusal("found_no_pixels", "advice_pixels");
  const raw = dataset.text("00080068").toUpperCase() === "FOR PROCESSING";
  if (raw || FOR_PROCESSING.includes(dataset.text("00080016"))) throw refusal("found_raw", "advice_presentation");
  const frames = number(dataset, "00280008", "NumberOfFrames") || 1;
  if (frames !== 1) throw refusal("found_frames", "advice_frame", { frames });
  const photometric = dataset.text("00280004") || "nothing";
  const coloured = COLOURS.includes(photometric) || (OF_JPEG_2000.includes(photometric) && JPEG_2000.includes(dataset.syntax));
  const samples = coloured ? 3 : 1;
  if ((dataset.integer("00280002") ?? samples) !== samples || !(coloured || [PALETTE, "MONOCHROME1", "MONOCHROME2"].includes(photometric))) {
    throw refusal("found_colour", "advice_original", { photometric: photometric.replace(/[^\w ]/g, "?") });
  }
  const missing = Object.keys(REQUIRED).filter((name) => dataset.integer(REQUIRED[name]) === undefined);
  if (missing.length) throw refusal("found_missing", "advice_header", { names: missing.join(" and ") });
  const [height, width, allocated, bits] = Object.values(REQUIRED).map((tag) => dataset.integer(tag));
  checkSize(width, height);
  const high = dataset.integer("00280102") ?? bits - 1, signed = Boolean(dataset.integer("00280103"));
  if (coloured && (signed || (allocated === 16 && bits < 8))) throw refusal("found_bits", "advice_channels", { bits, allocated });
  if (![8, 16].includes(allocated) || !(1 < bits && bits <= allocated && bits - 1 <= high && high < allocated)) {
    throw refusal("found_bits", "advice_bits", { bits, allocated });
  }
  return { height, width, photometric, samples, allocated, bits, high, signed };
}

/** The bits that count of every pixel. Overlays and rubbish may lie in the others; compressed values start at bit 0. */
async function codesOf(dataset, { height, width, allocated, bits, high, signed }) {
  const raw = await stored(dataset, width, height, allocated), pixels = raw.pixels ?? raw;
  const below = PLAIN.includes(dataset.syntax) ? high + 1 - bits : 0, mask = 2 ** bits - 1;
  const codes = Uint16Array.from({ length: width * height }, (_, i) => (pixels[i] >> below) & mask);
  const pad = allocated === 16 && !below && !signed ? dataset.integer("00280120") : undefined;
  const padded = pad > mask ? (i) => pixels[i] === pad : () => false; // signed padding of an unsigned film
  const cut = !below && bits < allocated && overflows(dataset, pixels, codes, { bits, signed, padded });
  return { codes, padded, damage: cut ? "overflow" : raw.facts?.damage };
}

/** Whether values need more bits than the header states, so that their highest would be cut off. */
function overflows(dataset, pixels, codes, { bits, signed, padded }) {
  let counted = 0xffff >> bits, first;
  for (let group = 0x6000; group < 0x6020; group += 2) { // an overlay that lies in a bit of its own
    const position = dataset.integer(`${group.toString(16)}0102`) ?? 0;
    if (position >= bits) counted &= ~(1 << (position - bits));
  }
  for (let i = 0; i < codes.length; i++) {
    if (padded(i)) continue;
    const sign = signed && codes[i] >> (bits - 1) ? 0xffff >> bits : 0; // the sign goes on in them
    const spare = (((pixels[i] & 0xffff) >> bits) & counted) ^ sign;
    if (spare !== (first ??= spare)) return true;
  }
  return false;
}

async function stored(dataset, width, height, allocated) {
  const { syntax } = dataset, size = width * height;
  if (PLAIN.includes(syntax)) return uncompressed(dataset, size, allocated);
  if (syntax === RLE) return runLengths(dataset.frame(), size, allocated / 8);
  if (!(syntax in DECODERS) && (syntax !== JPEG || allocated !== 8)) {
    throw refusal("found_syntax", "advice_syntax", { syntax: NAMES[syntax] ?? "another syntax" });
  }
  const picture = await (DECODERS[syntax]?.(dataset.frame(), width, height) ?? readJpeg(dataset.frame(), 1));
  if (picture.width !== width || picture.height !== height) throw refusal("found_short", "advice_export");
  return picture;
}

function uncompressed(dataset, size, allocated) {
  const bytes = dataset.bytes("7FE00010");
  if (bytes.length < size * (allocated / 8)) throw refusal("found_short", "advice_export");
  if (allocated === 8) {
    // In big endian the bytes of 8-bit pixels in OW lie swapped in pairs (PS3.5, 8.1.2).
    return dataset.little || dataset.vr("7FE00010") !== "OW" ? bytes : bytes.map((_, i) => bytes[i ^ 1]);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint16Array.from({ length: size }, (_, i) => view.getUint16(2 * i, dataset.little));
}

/** PS3.5, annex G: a segment for each byte of a pixel, component by component, the most significant first. */
function runLengths(frame, size, wide, samples = 1) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength), count = wide * samples;
  if (view.getUint32(0, true) !== count) throw damaged("DICOM");
  const out = wide === 1 ? new Uint8Array(samples * size) : new Uint16Array(samples * size);
  for (let i = 0; i < count; i++) {
    const end = i + 1 < count ? view.getUint32(8 + 4 * i, true) : frame.length, from = Math.floor(i / wide) * size;
    const bytes = segment(frame.subarray(view.getUint32(4 + 4 * i, true), end), size);
    for (let at = 0; at < size; at++) out[from + at] = out[from + at] * 256 + bytes[at];
  }
  return out;
}

function segment(packed, size) {
  const out = new Uint8Array(size);
  let to = 0;
  for (let at = 0; at < packed.length && to < size; ) {
    const count = packed[at++];
    if (count < 128) {
      out.set(packed.subarray(at, at + Math.min(count + 1, size - to)), to);
      to += count + 1;
      at += count + 1;
    } else if (count > 128) {
      out.fill(packed[at++], to, Math.min(to + 257 - count, size));
      to += 257 - count;
    }
  }
  if (to < size) throw damaged("DICOM");
  return out;
}

/** ViewPosition, or the meaning of ViewCodeSequence, which digital radiographs have instead. */
function view(dataset) {
  return dataset.text("00185101") || dataset.items("00540220")[0]?.text("00080104") || "";
}

// Stored values to gray, PS3.4 N.2, worked out once for each value that can be stored: lucency.film.dicom_pixels.

/** Gray for each of the 2**bits codes, over the full range of its type; and what the VOI transform was. */
function grayTable(dataset, bits, signed) {
  const stored = storedValues(bits, signed);
  const { level, voi } = voiLevel(dataset, modality(dataset, stored));
  const inverted = isInverted(dataset), isPadding = padding(dataset);
  const top = bits <= 8 ? 255 : 65535;
  const table = bits <= 8 ? new Uint8Array(2 ** bits) : new Uint16Array(2 ** bits);
  level.forEach((share, code) => {
    const shown = isPadding(stored[code]) ? 0 : inverted ? 1 - share : share;
    table[code] = Math.floor(shown * top + 0.5);
  });
  return { table, voi };
}

function storedValues(bits, signed) {
  const half = 2 ** (bits - 1);
  return Float64Array.from({ length: 2 ** bits }, (_, code) => (signed && code >= half ? code - 2 * half : code));
}

/** Modality LUT, or slope · stored + intercept, with the range it can put out. PS3.3 C.11.1. */
function modality(dataset, stored) {
  const [item] = dataset.items("00283000");
  if (item) return lookUp(dataset, item, stored);
  const slope = number(dataset, "00281053", "RescaleSlope");
  if (slope === 0) throw refusal("found_slope", "advice_header");
  const intercept = number(dataset, "00281052", "RescaleIntercept") || 0;
  const values = stored.map((value) => value * (slope ?? 1) + intercept);
  return { values, low: values.reduce((a, b) => Math.min(a, b)), high: values.reduce((a, b) => Math.max(a, b)) };
}

/** Level 0 … 1 of each value by the first VOI LUT, else the first window, else the whole range. PS3.3 C.11.2. */
function voiLevel(dataset, given) {
  const [item] = dataset.items("00283010");
  if (item) return { level: span(lookUp(dataset, item, given.values)), voi: "lut" };
  const center = number(dataset, "00281050", "WindowCenter"), width = number(dataset, "00281051", "WindowWidth");
  const name = (dataset.text("00281056") || "LINEAR").toUpperCase();
  const none = center === null || width === null || width <= 0 || (name === "LINEAR" && width < 1);
  if (none && isCt(dataset) && hasRescale(dataset)) return { level: windowed(given.values, ...CT_WINDOW, "LINEAR"), voi: "default" };
  if (none) return { level: span(given), voi: "none" };
  return { level: windowed(given.values, center, width, name), voi: "window" };
}

const isCt = (dataset) => dataset.text("00080060").toUpperCase() === "CT";

/** Whether stored values are mapped to Hounsfield units: PS3.3 C.8.2.1. */
function hasRescale(dataset) {
  const stated = number(dataset, "00281053", "RescaleSlope") !== null && number(dataset, "00281052", "RescaleIntercept") !== null;
  return stated || dataset.items("00283000").length > 0;
}

const clipped = (value) => Math.min(Math.max(value, 0), 1);

function span({ values, low, high }) {
  return values.map((value) => clipped((value - low) / Math.max(high - low, 1e-300)));
}

/** PS3.3 C.11.2.1.2 and C.11.2.1.3. */
function windowed(values, center, width, name) {
  if (name === "LINEAR_EXACT") return values.map((x) => clipped((x - center) / width + 0.5));
  if (name === "SIGMOID") {
    return values.map((x) => 1 / (1 + Math.exp(Math.min(Math.max((-4 * (x - center)) / width, -700), 700))));
  }
  if (name !== "LINEAR") throw refusal("found_function", "advice_voi", { name: name.replace(/\W/g, "?") });
  if (width === 1) return values.map((x) => Number(x > center - 0.5));
  return values.map((x) => clipped((x - (center - 0.5)) / (width - 1) + 0.5));
}

/** A Modality or VOI LUT, or one of a palette; values beyond its ends take its end entries. PS3.3 C.11.1.1 and C.11.2.1.1. */
function lookUp(dataset, item, values, descriptor = "00283002", data = "00283006") {
  let [entries, first, bits] = item.shorts(descriptor);
  if (item.vr(descriptor) === "SS" && first >= 32768) first -= 65536;
  entries = entries || 65536;
  const table = tableOf(item, entries, data);
  if (table.length < entries || !(bits >= 8 && bits <= 16)) {
    throw refusal("found_table", "advice_header", { entries: table.length, bits });
  }
  if (first >= 32768 && values.some((value) => value < 0)) first -= 65536;
  const top = 2 ** bits - 1;
  const place = (value) => Math.min(Math.max(Math.floor(value - first + 0.5), 0), entries - 1);
  return { values: values.map((value) => Math.min(table[place(value)], top)), low: 0, high: top };
}

/** Entries of 16 bits, or of 8 bits where there are too few bytes for that. */
function tableOf(item, entries, data) {
  const bytes = item.bytes(data);
  if (bytes.length < 2 * entries && item.vr(data) !== "US") return [...bytes.subarray(0, entries)];
  return item.shorts(data).slice(0, entries);
}

/** Whether the lowest value is shown white: MONOCHROME1 and INVERSE say the same, both together invert once. */
function isInverted(dataset) {
  return dataset.text("00280004") === "MONOCHROME1" || dataset.text("20500020").toUpperCase() === "INVERSE";
}

/** Which stored values stand for no X-ray at all: shown black. PS3.3 C.7.5.1.1.2. */
function padding(dataset) {
  const value = padValue(dataset, "00280120");
  if (value === undefined) return () => false;
  const limit = padValue(dataset, "00280121") ?? value;
  return (stored) => stored >= Math.min(value, limit) && stored <= Math.max(value, limit);
}

/** US or SS, as PixelRepresentation says. */
function padValue(dataset, tag) {
  const value = dataset.integer(tag);
  const signed = dataset.vr(tag) === "SS" || (!dataset.vr(tag) && dataset.integer("00280103") === 1);
  return signed && value >= 32768 ? value - 65536 : value;
}

/** The first value of a decimal string, null where absent or empty. */
function number(dataset, tag, name) {
  const text = dataset.text(tag).split("\\")[0].trim();
  if (!text) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) throw refusal("found_number", "advice_header", { name });
  return value;
}
