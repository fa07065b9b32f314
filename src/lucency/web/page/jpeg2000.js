// JPEG 2000 decoded with room above and below its range, so that damage shows, as lucency.film.codestream does it.

const LOSSLESS_ROOM = 4, FAR = 1 / 16, SHARE = 1e-4;
/** Bits that the range is widened by; of the range and of the pixels, what a sound lossy frame leaves it by, at most. */
const MOST = 16;
/** Bits that the decoder does not clip. */
const SIZ = 0xff51, COD = 0xff52, QCD = 0xff5c, FIRST_TILE = 0xff90, HARMLESS = [SIZ, COD, QCD, 0xff55, 0xff57, 0xff64];
const PRECISION = 40;
/** Where the precision of the first component stands behind the marker (ISO/IEC 15444-1, A.5.1). */

/**
 * @param {Uint8Array} bytes a codestream of one component @param {(bytes: Uint8Array) => Uint8Array|Uint16Array} decode
 * @returns {{pixels: Uint8Array|Uint16Array, damage: ""|"overshoot"}} of 16 bits only what lies below the range is seen
 */
export function decodeJpeg2000(bytes, decode) {
  const wide = widened(bytes);
  if (!wide) return { pixels: decode(bytes), damage: "" };
  const { stream, bits, room, lossless } = wide, values = decode(stream), top = 2 ** bits - 1;
  const middle = 2 ** (bits + room - 1) - 2 ** (bits - 1), margin = lossless ? 0 : Math.floor(FAR * top);
  const outside = values.reduce((count, value) => count + (value < middle - margin || value > middle + top + margin), 0);
  const clipped = () => (bits > 8 ? Uint16Array : Uint8Array).from(values, (value) => Math.min(Math.max(value - middle, 0), top));
  const pixels = bits + room > MOST ? decode(bytes) : clipped();
  return { pixels, damage: outside > (lossless ? 0 : SHARE * values.length) ? "overshoot" : "" };
}

/**
 * The codestream with a wider range: the precision grows, and in a lossy stream so do the exponents of the steps, while the
 * guard bits shrink (E-3 and E-2): the coefficients stay what they are. Null where that cannot be done.
 */
function widened(bytes) {
  const markers = mainHeader(bytes), steps = markers[QCD] + 4, precision = markers[SIZ] + PRECISION;
  const known = Object.keys(markers).every((marker) => HARMLESS.includes(Number(marker)));
  if (!known || !(SIZ in markers && COD in markers && QCD in markers) || bytes[precision] & 128) return null;
  const stream = bytes.slice(), bits = bytes[precision] + 1, lossless = !(bytes[steps] & 31), guard = bytes[steps] >> 5;
  const room = Math.min(lossless ? LOSSLESS_ROOM : guard, Math.max(MOST - bits, 1));
  if (bits > MOST || !room) return null;
  if (!lossless) {
    const end = markers[QCD] + 2 + uint16(bytes, markers[QCD] + 2);
    stream[steps] -= room << 5;
    for (let at = steps + 1; at < end; at += 2) {
      if (stream[at] + (room << 3) > 255) return null;
      stream[at] += room << 3;
    }
  }
  stream[precision] += room;
  return { stream, bits, room, lossless };
}

const uint16 = (bytes, at) => bytes[at] * 256 + bytes[at + 1];

/** Markers of the main header and where they stand (A.4); none where it is damaged. */
function mainHeader(bytes) {
  const found = {};
  for (let at = 2; at + 4 <= bytes.length; at += 2 + uint16(bytes, at + 2)) {
    const marker = uint16(bytes, at);
    if (marker === FIRST_TILE) return found;
    found[marker] = at;
  }
  return {};
}
