// Between a square and four corners in a photograph: the projective map of the plane (Heckbert 1989, section 2.2.3).

/** (u, v) in 0 … 1 → x, y, for corners top left, top right, bottom right, bottom left: eight numbers. */
export function projection([a, b, c, d]) {
  const sx = a.x - b.x + c.x - d.x, sy = a.y - b.y + c.y - d.y;
  const dx1 = b.x - c.x, dx2 = d.x - c.x, dy1 = b.y - c.y, dy2 = d.y - c.y;
  const scale = dx1 * dy2 - dx2 * dy1;
  const g = (sx * dy2 - dx2 * sy) / scale, h = (dx1 * sy - sx * dy1) / scale;
  return [b.x - a.x + g * b.x, d.x - a.x + h * d.x, a.x, b.y - a.y + g * b.y, d.y - a.y + h * d.y, a.y, g, h];
}

/** Where (u, v) lies in the photograph. */
export function placed([a, b, c, d, e, f, g, h], u, v) {
  const under = g * u + h * v + 1;
  return { x: (a * u + b * v + c) / under, y: (d * u + e * v + f) / under };
}

/** The other way: x, y → (u, v), up to the common factor that projections have. */
export function inverse([a, b, c, d, e, f, g, h]) {
  const m = [e - f * h, c * h - b, b * f - c * e, f * g - d, a - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
  return m.slice(0, 8).map((value) => value / m[8]);
}

/**
 * The photograph within the corners as an upright film, each pixel interpolated between four.
 * @param {{pixels: Uint8Array, width: number, height: number}} photo @param corners as shares of its width and height
 * @param {number} most pixels along the longer side @returns {{pixels: Uint8Array, width: number, height: number}}
 */
export function squared(photo, corners, most) {
  const points = corners.map(({ x, y }) => ({ x: x * photo.width, y: y * photo.height }));
  const side = (i, j) => Math.hypot(points[i].x - points[j].x, points[i].y - points[j].y);
  const across = side(0, 1) + side(3, 2), down = side(0, 3) + side(1, 2), long = Math.max(across, down);
  const width = Math.max(1, Math.round((most * across) / long)), height = Math.max(1, Math.round((most * down) / long));
  const [a, b, c, d, e, f, g, h] = projection(points);
  const pixels = new Uint8Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    const v = (y + 0.5) / height;
    for (let x = 0; x < width; x++, at++) {
      const u = (x + 0.5) / width, under = g * u + h * v + 1;
      pixels[at] = between(photo, (a * u + b * v + c) / under - 0.5, (d * u + e * v + f) / under - 0.5);
    }
  }
  return { pixels, width, height };
}

function between({ pixels, width, height }, x, y) {
  const left = Math.min(Math.max(Math.floor(x), 0), width - 2), top = Math.min(Math.max(Math.floor(y), 0), height - 2);
  const across = Math.min(Math.max(x - left, 0), 1), down = Math.min(Math.max(y - top, 0), 1), at = top * width + left;
  const upper = pixels[at] * (1 - across) + pixels[at + 1] * across;
  const lower = pixels[at + width] * (1 - across) + pixels[at + width + 1] * across;
  return upper * (1 - down) + lower * down + 0.5;
}
