// The data set of a DICOM file: PS3.5, section 7. Elements by their tag, eight hexadecimal digits. Why not a library: docs/decisions.md.

import { damaged } from "./errors.js";

const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const SEQUENCES = new Set(["00283000", "00283010", "00540220"]);
/** Those read here; in implicit VR nothing else says that they are sequences. */
const WORDS = { US: 2, SS: 2, UL: 4, SL: 4 };
const MOST = 20_000, DEEPEST = 16;
const UNDEFINED = 0xffffffff, ITEM = "FFFEE000", ITEM_END = "FFFEE00D", END = "FFFEE0DD";

/** @param {Uint8Array} bytes a file, with or without preamble @returns {Dataset} with `syntax` stated */
export function parse(bytes) {
  const prefixed = bytes.length > 132 && String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
  const meta = new Dataset(bytes, true);
  let at = prefixed ? 132 : 0;
  if (prefixed || (bytes[0] === 2 && bytes[1] === 0)) at = walk(meta, at, bytes.length, true, true, 0);
  const guessed = { implicit: !explicitAt(bytes, at), little: true };
  const syntax = meta.text("00020010") || (guessed.implicit ? "1.2.840.10008.1.2" : "1.2.840.10008.1.2.1");
  const dataset = new Dataset(bytes, syntax !== "1.2.840.10008.1.2.2");
  dataset.syntax = syntax;
  if (syntax !== "1.2.840.10008.1.2.1.99") walk(dataset, at, bytes.length, syntax !== "1.2.840.10008.1.2", false, 0);
  return dataset;
}

const explicitAt = (bytes, at) => /^[A-Z]{2}$/.test(String.fromCharCode(bytes[at + 4], bytes[at + 5]));

/** Elements of one data set; values are read only when asked for. */
class Dataset {
  constructor(source, little) {
    this.source = source;
    this.little = little;
    this.view = new DataView(source.buffer, source.byteOffset, source.byteLength);
    this.elements = new Map();
  }

  has(tag) {
    return this.elements.has(tag);
  }

  vr(tag) {
    return this.elements.get(tag)?.vr ?? "";
  }

  bytes(tag) {
    const element = this.elements.get(tag);
    return element ? this.source.subarray(element.start, element.end) : new Uint8Array(0);
  }

  text(tag) {
    return new TextDecoder("latin1").decode(this.bytes(tag)).replace(/[\0 ]+$/, "").trim();
  }

  /** The unsigned 16-bit values of an element. */
  shorts(tag) {
    const { start, end } = this.elements.get(tag) ?? { start: 0, end: 0 };
    return Array.from({ length: (end - start) >> 1 }, (_, i) => this.view.getUint16(start + 2 * i, this.little));
  }

  /** The first 16-bit value; undefined where there is none. */
  integer(tag) {
    return this.shorts(tag)[0];
  }

  items(tag) {
    return this.elements.get(tag)?.items ?? [];
  }

  /** The one frame of compressed pixels: all fragments after the offset table, PS3.5 A.4. */
  frame() {
    const parts = (this.elements.get("7FE00010")?.fragments ?? []).slice(1);
    if (!parts.length) throw damaged("DICOM");
    if (parts.length === 1) return this.source.subarray(...parts[0]);
    const out = new Uint8Array(parts.reduce((sum, [start, end]) => sum + end - start, 0));
    let at = 0;
    for (const [start, end] of parts) {
      out.set(this.source.subarray(start, end), at);
      at += end - start;
    }
    return out;
  }
}

/** Fill `dataset` from `at`; gives where it ends. `meta`: only group 2, which comes first. */
function walk(dataset, at, end, explicit, meta, depth) {
  if (depth > DEEPEST) throw damaged("DICOM");
  while (at + 8 <= end) {
    if (meta && dataset.view.getUint16(at, true) !== 2) return at;
    const element = header(dataset, at, explicit);
    if (element.tag === ITEM_END) return element.start;
    if (dataset.elements.size > MOST) throw damaged("DICOM");
    at = value(dataset, element, end, explicit, depth);
    dataset.elements.set(element.tag, element);
  }
  return end;
}

function header({ view, little }, at, explicit) {
  const tag = [view.getUint16(at, little), view.getUint16(at + 2, little)]
    .map((part) => part.toString(16).padStart(4, "0").toUpperCase()).join("");
  if (!explicit || tag.startsWith("FFFE")) return { tag, vr: "", length: view.getUint32(at + 4, little), start: at + 8 };
  const vr = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5));
  if (!/^[A-Z]{2}$/.test(vr)) throw damaged("DICOM");
  if (LONG.has(vr)) return { tag, vr, length: view.getUint32(at + 8, little), start: at + 12 };
  return { tag, vr, length: view.getUint16(at + 6, little), start: at + 8 };
}

/** Read past an element's value, into it where it is a sequence; gives where the next element begins. */
function value(dataset, element, end, explicit, depth) {
  const open = element.length === UNDEFINED;
  element.end = open ? end : element.start + element.length;
  if (element.tag === "7FE00010" && open) return fragments(dataset, element);
  if (element.end > end) {
    // Pixels cut short are told by their number; anything else cut short is damage.
    if (element.tag !== "7FE00010") throw damaged("DICOM");
    element.end = end;
  }
  // A sequence of undefined length stored as UN is implicit inside (PS3.5, 6.2.2).
  const inner = explicit && element.vr !== "UN";
  if (open || element.vr === "SQ" || SEQUENCES.has(element.tag)) return items(dataset, element, inner, depth);
  return element.end;
}

function items(dataset, element, explicit, depth) {
  element.items = [];
  let at = element.start;
  while (at + 8 <= element.end) {
    const { tag, length, start } = header(dataset, at, explicit);
    if (tag === END) return start;
    if (tag !== ITEM) throw damaged("DICOM");
    const item = new Dataset(dataset.source, dataset.little);
    const stop = length === UNDEFINED ? element.end : start + length;
    if (stop > element.end) throw damaged("DICOM");
    at = walk(item, start, stop, explicit, false, depth + 1);
    element.items.push(item);
  }
  return element.end;
}

function fragments(dataset, element) {
  element.fragments = [];
  let at = element.start;
  while (at + 8 <= element.end) {
    const { tag, length, start } = header(dataset, at, false);
    if (tag === END) return start;
    if (tag !== ITEM || start + length > element.end) throw damaged("DICOM");
    element.fragments.push([start, start + length]);
    at = start + length;
  }
  throw damaged("DICOM");
}
