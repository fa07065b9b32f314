// DICOM's run lengths, PS3.5 annex G: a segment for each byte of a pixel, the most significant first.

import { damaged } from "./refuse.js";

/** @param {Uint8Array} frame @returns {Uint8Array|Uint16Array} `size` stored values of `wide` bytes */
export function unpacked(frame, size, wide) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== wide) throw damaged("DICOM");
  const out = wide === 1 ? new Uint8Array(size) : new Uint16Array(size);
  for (let i = 0; i < wide; i++) {
    const start = view.getUint32(4 + 4 * i, true);
    const end = i + 1 < wide ? view.getUint32(8 + 4 * i, true) : frame.length;
    const bytes = segment(frame.subarray(start, end), size);
    for (let at = 0; at < size; at++) out[at] = out[at] * 256 + bytes[at];
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
