// JPEG: what it says of itself is checked here, its pixels are decoded by the browser, at full size.

import { checkSize, damaged, refusal } from "./errors.js";
import { findDamage, hasStep, segmentsOf } from "./jpeg_scans.js";
import { gray, planes } from "./lucency.js";
import { orientation, profileFacts, turned } from "./png.js";

const MAX_SCANS = 64, APP0 = 0xe0, APP1 = 0xe1, APP2 = 0xe2, APP14 = 0xee;
const BACK = { 6: 8, 8: 6 };
/** What undoes a turn by an EXIF orientation; any other undoes itself. */
const STRIP = 1024;
/** Rows read back at once: a canvas of a whole large film is more than some phones allow. */

/** @param {Uint8Array} bytes @returns {Promise<{pixels: Uint8Array, colour, width, height, facts}>} turned upright */
export async function readJpeg(bytes, mostComponents = 3) {
  const frame = checkJpeg(bytes, mostComponents), found = findDamage(bytes, frame), picture = await decoded(bytes, frame.components);
  const [exif] = bodiesOf(bytes, APP1, "Exif\0\0"), turn = exif ? orientation(exif) : 1, { width, height, colour } = picture;
  const gray = colour ? planes(colour)[1] : picture.pixels, asStored = turned(BACK[turn] ?? turn, { pixels: gray, width, height });
  const damage = found || (hasStep(asStored) ? "step" : "");
  // The ICC profile, ICC.1, B.4: behind its name the number of the part, and of how many.
  const profile = bodiesOf(bytes, APP2, "ICC_PROFILE\0").flatMap((body) => [...body.subarray(2)]);
  return { ...picture, facts: { ...(damage && { damage }), ...(colour && profileFacts(Uint8Array.from(profile))) } };
}

/** What the segments with that marker hold behind that name. */
function bodiesOf(bytes, wanted, name) {
  const bodies = [...segmentsOf(bytes)].filter(({ marker }) => marker === wanted).map(({ body }) => body);
  return bodies.filter((body) => String.fromCharCode(...body.subarray(0, name.length)) === name).map((body) => body.subarray(name.length));
}

/** A JPEG that says whether its colours are RGB or YCbCr: where it does not, the header around it decides; lucency.film.codestream. */
export function withColours(bytes, isRgb) {
  const says = [...bodiesOf(bytes, APP0, "JFIF\0"), ...bodiesOf(bytes, APP14, "Adobe")].some(({ length }) => length >= 7);
  if (says) return bytes;
  const adobe = [0xff, APP14, 0, 14, ...new TextEncoder().encode("Adobe\0d\0\0\0\0"), Number(!isRgb)];
  const saying = new Uint8Array(bytes.length + adobe.length);
  saying.set(bytes.subarray(0, 2));
  saying.set(adobe, 2);
  saying.set(bytes.subarray(2), 2 + adobe.length);
  return saying;
}

/** Refuse, before anything is decoded, what is too large, in CMYK, of other than 8 bits, or of too many scans. */
export function checkJpeg(bytes, mostComponents) {
  const frame = frameOf(bytes);
  if (!frame) throw damaged("JPEG");
  checkSize(frame.width, frame.height);
  if (frame.components > mostComponents) throw refusal("found_cmyk", "advice_gray");
  if (frame.bits !== 8 || ![0, 1, 2].includes(frame.process)) throw refusal("found_jpeg", "advice_jpeg", frame);
  let scans = 0;
  for (let at = bytes.indexOf(0xff); at >= 0; at = bytes.indexOf(0xff, at + 1)) scans += bytes[at + 1] === 0xda;
  if (scans > MAX_SCANS) throw refusal("found_scans", "advice_scans", { scans, most: MAX_SCANS });
  return frame;
}

/** The frame header, T.81 B.2.2: size, components, bits, and which process codes it. */
export function frameOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker < 0xd0 && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      const height = view.getUint16(at + 5), width = view.getUint16(at + 7);
      const components = bytes[at + 9], parts = Array.from({ length: components }, (_, i) => {
        const [id, sampling] = bytes.subarray(at + 10 + 3 * i, at + 12 + 3 * i);
        return { id, h: sampling >> 4, v: sampling & 15 };
      });
      return { bits: bytes[at + 4], height, width, components, parts, process: marker - 0xc0 };
    }
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}

/** Decoded by the browser, colours as stored, EXIF orientation applied. */
async function decoded(bytes, components) {
  const asStored = { colorSpaceConversion: "none", imageOrientation: "from-image", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), asStored);
  } catch {
    throw damaged("JPEG");
  }
  const { width, height } = bitmap;
  const pixels = new Uint8Array(width * height), colour = components === 3 ? new Uint8Array(3 * width * height) : null;
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const pen = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    pen.drawImage(bitmap, 0, -top);
    const { data } = pen.getImageData(0, 0, width, rows);
    pixels.set(gray(data), top * width);
    for (let i = 0, to = 3 * top * width; colour && i < data.length; i++) if (i % 4 < 3) colour[to++] = data[i];
  }
  bitmap.close();
  return { pixels, colour, width, height };
}

/** Whether pixels drawn on a canvas come back as they were: some browsers alter them against tracking. */
export function canvasIsFaithful() {
  const pen = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true, alpha: false });
  for (let i = 0; i < 64; i++) {
    pen.fillStyle = `rgb(${4 * i}, ${4 * i}, ${4 * i})`;
    pen.fillRect(i, 0, 1, 64);
  }
  return pen.getImageData(0, 0, 64, 64).data.every((value, i) => value === (i % 4 === 3 ? 255 : 4 * ((i >> 2) % 64)));
}
