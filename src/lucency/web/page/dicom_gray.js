// From stored DICOM values to gray, PS3.4 N.2, worked out once for each value that can be stored: lucency.film.gray.

import { refusal } from "./refuse.js";

/** Gray for each of the 2**bits codes, over the full range of its type; and what the VOI transform was. */
export function grayTable(dataset, bits, signed) {
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
  if (none) return { level: span(given), voi: "none" };
  return { level: windowed(given.values, center, width, name), voi: "window" };
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

/** A Modality or VOI LUT; values beyond its ends take its end entries. PS3.3 C.11.1.1 and C.11.2.1.1. */
function lookUp(dataset, item, values) {
  let [entries, first, bits] = item.shorts("00283002");
  if (item.vr("00283002") === "SS" && first >= 32768) first -= 65536;
  entries = entries || 65536;
  const table = tableOf(dataset, item, entries);
  if (table.length < entries || !(bits >= 8 && bits <= 16)) {
    throw refusal("found_table", "advice_header", { entries: table.length, bits });
  }
  if (first >= 32768 && values.some((value) => value < 0)) first -= 65536;
  const top = 2 ** bits - 1;
  const place = (value) => Math.min(Math.max(Math.floor(value - first + 0.5), 0), entries - 1);
  return { values: values.map((value) => Math.min(table[place(value)], top)), low: 0, high: top };
}

/** Entries of 16 bits, or of 8 bits where there are too few bytes for that. */
function tableOf(dataset, item, entries) {
  const bytes = item.bytes("00283006");
  if (bytes.length < 2 * entries && item.vr("00283006") === "OW") return [...bytes.subarray(0, entries)];
  return item.shorts("00283006").slice(0, entries);
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
export function number(dataset, tag, name) {
  const text = dataset.text(tag).split("\\")[0].trim();
  if (!text) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) throw refusal("found_number", "advice_header", { name });
  return value;
}
