// Four corners in a photograph of a film: found around points, and the projective map between them and the upright film
// (Heckbert 1989, section 2.2.3).

const CORNER = [50, 130];
/** Degrees that a corner may have: steeper views give a map that nobody can place. */

const cross = (o, a, b) => (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);
export const sum = (list, pick) => list.reduce((total, one) => total + pick(one), 0);
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The convex hull, by Andrew's monotone chain. */
export function hull(points) {
  const sorted = points.sort((a, b) => a.x - b.x || a.y - b.y);
  const half = (list) => list.reduce((kept, point) => {
    while (kept.length > 1 && cross(kept.at(-2), kept.at(-1), point) <= 0) kept.pop();
    kept.push(point);
    return kept;
  }, []).slice(0, -1);
  return [...half(sorted), ...half([...sorted].reverse())];
}

/** The four points of a hull that span the largest area. */
export function quadrilateral(points) {
  let best = null;
  for (let i = 0; i < points.length; i++) {
    for (let j = i + 2; j < points.length; j++) {
      const off = (point) => Math.abs(cross(points[i], points[j], point));
      const far = (list) => list.reduce((kept, point) => (off(point) > off(kept) ? point : kept), points[i]);
      const found = [points[i], far(points.slice(i + 1, j)), points[j], far([...points.slice(j + 1), ...points.slice(0, i)])];
      if (!best || area(found) > area(best)) best = found;
    }
  }
  return best;
}

export function area(corners) {
  return Math.abs(corners.reduce((total, { x, y }, i) => {
    const next = corners[(i + 1) % corners.length];
    return total + x * next.y - next.x * y;
  }, 0)) / 2;
}

/** Whether the corners are near enough to right angles. */
export function rectangular(corners) {
  return corners.every((point, i) => {
    const before = corners[(i + 3) % 4], after = corners[(i + 1) % 4];
    const along = (before.x - point.x) * (after.x - point.x) + (before.y - point.y) * (after.y - point.y);
    const degrees = (Math.atan2(Math.abs(cross(point, before, after)), along) * 180) / Math.PI;
    return degrees >= CORNER[0] && degrees <= CORNER[1];
  });
}

/** Clockwise from the top left. */
export function ordered(corners) {
  const x = sum(corners, (corner) => corner.x) / 4, y = sum(corners, (corner) => corner.y) / 4;
  const angle = (corner) => Math.atan2(corner.y - y, corner.x - x);
  const round = [...corners].sort((a, b) => angle(a) - angle(b));
  const sums = round.map((corner) => corner.x + corner.y), first = sums.indexOf(Math.min(...sums));
  return [...round.slice(first), ...round.slice(0, first)];
}

/** off = start + rise · reach, by least squares. */
export function line(points) {
  if (points.length < 3) return { start: 0, rise: 0 };
  const mean = (pick) => sum(points, pick) / points.length;
  const reach = mean((point) => point.reach), off = mean((point) => point.off);
  const spread = mean((point) => (point.reach - reach) ** 2) || 1;
  const rise = mean((point) => (point.reach - reach) * (point.off - off)) / spread;
  return { start: off - rise * reach, rise };
}

/** Where two sides meet. */
export function crossing(a, b) {
  const turn = a.dx * b.dy - a.dy * b.dx, far = ((b.x - a.x) * b.dy - (b.y - a.y) * b.dx) / turn;
  return { x: a.x + a.dx * far, y: a.y + a.dy * far };
}

/** Whether a point lies within clockwise corners, at least `rim` away from every side. */
export function contains(corners, x, y, rim) {
  for (let i = 0; i < 4; i++) { // asked of each pixel: no closures, no Math.hypot
    const from = corners[i], to = corners[(i + 1) % 4], dx = to.x - from.x, dy = to.y - from.y;
    if (dx * (y - from.y) - dy * (x - from.x) < rim * Math.sqrt(dx * dx + dy * dy)) return false;
  }
  return true;
}

/** (u, v) in 0 … 1 → x, y, for corners top left, top right, bottom right, bottom left: eight numbers. */
export function homography([a, b, c, d]) {
  const sx = a.x - b.x + c.x - d.x, sy = a.y - b.y + c.y - d.y;
  const dx1 = b.x - c.x, dx2 = d.x - c.x, dy1 = b.y - c.y, dy2 = d.y - c.y;
  const scale = dx1 * dy2 - dx2 * dy1;
  const g = (sx * dy2 - dx2 * sy) / scale, h = (dx1 * sy - sx * dy1) / scale;
  return [b.x - a.x + g * b.x, d.x - a.x + h * d.x, a.x, b.y - a.y + g * b.y, d.y - a.y + h * d.y, a.y, g, h];
}

/** Where (u, v) lies in the photograph. */
export function project([a, b, c, d, e, f, g, h], u, v) {
  const under = g * u + h * v + 1;
  return { x: (a * u + b * v + c) / under, y: (d * u + e * v + f) / under };
}

/** The inverse map: x, y → (u, v). */
export function inverse([a, b, c, d, e, f, g, h]) {
  const m = [e - f * h, c * h - b, b * f - c * e, f * g - d, a - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
  return m.slice(0, 8).map((value) => value / m[8]);
}

/** Width and height of a film with these corners, its longer side `most` pixels. */
function upright(points, most) {
  const side = (i, j) => Math.hypot(points[i].x - points[j].x, points[i].y - points[j].y);
  const across = side(0, 1) + side(3, 2), down = side(0, 3) + side(1, 2);
  const [width, height] = [across, down].map((one) => Math.max(1, Math.round((most * one) / Math.max(across, down))));
  return { width, height };
}

/**
 * The photograph within the corners as an upright film, each pixel by cubic convolution: between four alone, it would be blurred.
 * @param {{pixels: Uint8Array, width: number, height: number}} photo @param corners as shares of its width and height
 * @param {number} most pixels along the longer side @param {{width, height}} [size] in its place
 * @returns {{pixels: Uint8Array, width: number, height: number}}
 */
export function rectify(photo, corners, most, size) {
  const points = corners.map(({ x, y }) => ({ x: x * photo.width, y: y * photo.height }));
  const { width, height } = size ?? upright(points, most);
  const [a, b, c, d, e, f, g, h] = homography(points), pixels = new Uint8Array(width * height);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      const u = (column + 0.5) / width, v = (row + 0.5) / height, under = g * u + h * v + 1; // `project`, without an object a pixel
      pixels[at] = clamp(cubic(photo, (a * u + b * v + c) / under - 0.5, (d * u + e * v + f) / under - 0.5) + 0.5, 0, 255);
    }
  }
  return { pixels, width, height };
}

/** Weights of four pixels in a row, by how far a place lies between the middle two, in 256ths (Keys 1981, a = -1/2). */
const KEYS = Float64Array.from({ length: 4 * 257 }, (_, i) => {
  const t = (i >> 2) / 256;
  return [t * (t * (2 - t) - 1), t * t * (3 * t - 5) + 2, t * (t * (4 - 3 * t) + 1), t * t * (t - 1)][i & 3] / 2;
});

/** A picture's value among the centres of sixteen pixels; beyond the outer ones but one, that of the nearest place within. */
function cubic({ pixels, width, height }, x, y) {
  const left = clamp(Math.floor(x), 1, width - 3), top = clamp(Math.floor(y), 1, height - 3);
  const i = 4 * Math.round(256 * clamp(x - left, 0, 1)), j = 4 * Math.round(256 * clamp(y - top, 0, 1));
  const a = KEYS[i], b = KEYS[i + 1], c = KEYS[i + 2], d = KEYS[i + 3];
  let total = 0;
  for (let v = 0, at = (top - 1) * width + left - 1; v < 4; v++, at += width) {
    total += KEYS[j + v] * (a * pixels[at] + b * pixels[at + 1] + c * pixels[at + 2] + d * pixels[at + 3]);
  }
  return total;
}

/** A grid's value between the centres of four cells; beyond the outer ones theirs. */
export function interpolate(values, width, height, x, y) {
  const left = clamp(Math.floor(x), 0, Math.max(width - 2, 0)), top = clamp(Math.floor(y), 0, Math.max(height - 2, 0));
  const across = clamp(x - left, 0, 1), down = clamp(y - top, 0, 1), at = top * width + left;
  const right = width > 1 ? 1 : 0, below = height > 1 ? width : 0;
  const upper = values[at] * (1 - across) + values[at + right] * across;
  const lower = values[at + below] * (1 - across) + values[at + below + right] * across;
  return upper * (1 - down) + lower * down;
}
