// The EXIF orientation of a PNG: tag 274 of the block in its eXIf chunk (docs/preprocessing.md, 2). JPEG: the browser.

/** A decoded picture turned upright; no orientation, or another number: as stored. */
export function upright({ exif, pixels, width, height, bits }) {
  const turn = exif ? orientation(exif) : 1;
  if (!(turn >= 2 && turn <= 8)) return { pixels, width, height, bits };
  const swapped = turn >= 5;
  const across = swapped ? height : width, down = swapped ? width : height;
  const out = new pixels.constructor(pixels.length);
  for (let y = 0, to = 0; y < down; y++) {
    for (let x = 0; x < across; x++, to++) {
      const [column, row] = swapped ? [y, x] : [x, y];
      const left = [2, 3, 7, 8].includes(turn) ? width - 1 - column : column;
      const top = [3, 4, 6, 7].includes(turn) ? height - 1 - row : row;
      out[to] = pixels[top * width + left];
    }
  }
  return { pixels: out, width: across, height: down, bits };
}

function orientation(exif) {
  try {
    const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
    const little = view.getUint16(0) === 0x4949;
    const start = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(start, little); i++) {
      const at = start + 2 + 12 * i;
      if (view.getUint16(at, little) === 274) return view.getUint16(at + 8, little);
    }
  } catch {
    // A broken EXIF block around a sound film.
  }
  return 1;
}
