// A film in a photograph: the four-cornered thing whose edges stand out most, whatever surrounds it, a bright light box
// or a dim room. Edges are gathered into outlines, a convex hull around them gives four corners, and each of the four
// sides is then laid through the steepest places near it.

const LEAST_AREA = 0.08, FULLEST = 0.97;
const FILLED = 0.86, OVERFULL = 1.12;
/** Of the picture, that a film takes; of the four corners' area, that the hull takes: a disc overfills its best square. */
const SEEN = 0.55;
/** Share of the four sides that must show as an edge. */
const CORNER = [50, 130];
/** Degrees that a corner may have: steeper views make a map nobody can place. */
const BESIDE = 0.15;
/** Of the longest outline, how long another must be to belong to the film: bright parts leave gaps on a light box. */
const REACH = 4, SAMPLES = 24;
/** Pixels on either side of a side that are searched for its edge, at so many places. */

/**
 * @param {Uint8Array} gray a small picture, about 160 pixels wide
 * @returns {{x: number, y: number}[]|null} corners as shares of width and height: top left, top right, bottom right,
 *   bottom left; null where there is no such thing
 */
export function findFilm(gray, width, height) {
  const slope = slopes(smooth(gray, width, height), width, height);
  const limit = steep(slope);
  const parts = outlines(slope, limit, width, height);
  const long = parts.filter((part) => part.length >= BESIDE * parts[0].length).flat();
  const corners = cornersOf(long, slope, limit, width, height) ?? cornersOf(parts[0] ?? [], slope, limit, width, height);
  return corners && corners.map(({ x, y }) => ({ x: (x + 0.5) / width, y: (y + 0.5) / height }));
}

/** The four corners that these edges span; null where they span nothing like a film. */
function cornersOf(points, slope, limit, width, height) {
  const outline = hull(points), rough = quadrilateral(outline);
  if (!rough || !plausible(rough, outline, width * height)) return null;
  const sides = ordered(rough).map((point, i, all) => side(slope, width, height, limit, point, all[(i + 1) % 4]));
  if (sides.reduce((sum, { found }) => sum + found, 0) / 4 < SEEN) return null;
  const corners = sides.map((one, i) => crossing(sides[(i + 3) % 4], one));
  return plausible(corners, corners, width * height) ? corners : null;
}

/** Whether four corners can be a film's, given the outline they were taken from. */
function plausible(corners, outline, all) {
  if (!corners.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))) return false;
  const size = area(corners), share = area(outline) / size;
  return size > LEAST_AREA * all && size < FULLEST * all && share > FILLED && share < OVERFULL && square(corners);
}

function smooth(gray, width, height) {
  const out = new Float32Array(gray.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0, count = 0;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++, count++) sum += gray[v * width + u];
      }
      out[y * width + x] = sum / count;
    }
  }
  return out;
}

/** How fast the gray changes, whichever way; nothing at the picture's border. */
function slopes(gray, width, height) {
  const slope = new Float32Array(gray.length);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      slope[at] = Math.hypot(gray[at + 1] - gray[at - 1], gray[at + width] - gray[at - width]);
    }
  }
  return slope;
}

/** What counts as an edge in this picture. */
function steep(slope) {
  return Math.max(8, 0.2 * Float32Array.from(slope).sort()[Math.floor(0.98 * slope.length)]);
}

/** The connected parts of what is steeper than the limit, gaps of a pixel bridged, the longest first: points. */
function outlines(slope, limit, width, height) {
  const left = slope.map((value) => Number(value > limit));
  const parts = [];
  for (let start = 0; start < left.length; start++) {
    if (!left[start]) continue;
    const part = [start];
    left[start] = 0;
    for (let i = 0; i < part.length; i++) {
      const x = part[i] % width, y = (part[i] - x) / width;
      for (let v = Math.max(y - 2, 0); v <= Math.min(y + 2, height - 1); v++) {
        for (let u = Math.max(x - 2, 0); u <= Math.min(x + 2, width - 1); u++) {
          if (!left[v * width + u]) continue;
          left[v * width + u] = 0;
          part.push(v * width + u);
        }
      }
    }
    parts.push(part.map((at) => ({ x: at % width, y: Math.floor(at / width) })));
  }
  return parts.sort((a, b) => b.length - a.length);
}

/** The straight edge near the line from one corner to the next: a point, a direction, and how much of it is seen. */
function side(slope, width, height, limit, from, to) {
  const long = Math.hypot(to.x - from.x, to.y - from.y), along = { x: (to.x - from.x) / long, y: (to.y - from.y) / long };
  const across = { x: -along.y, y: along.x }, found = [];
  for (let i = 0; i < SAMPLES; i++) {
    const reach = ((i + 0.5) / SAMPLES) * long;
    const best = steepest(slope, width, height, { x: from.x + along.x * reach, y: from.y + along.y * reach }, across);
    if (best.slope > limit) found.push({ reach, off: best.off });
  }
  const middle = found.map(({ off }) => off).sort((a, b) => a - b)[found.length >> 1] ?? 0;
  const { start, rise } = line(found.filter(({ off }) => Math.abs(off - middle) <= 1.5));
  return {
    x: from.x + across.x * start, y: from.y + across.y * start,
    dx: along.x + across.x * rise, dy: along.y + across.y * rise, found: found.length / SAMPLES,
  };
}

/** Where the slope is steepest on a short way across a side, to a part of a pixel. */
function steepest(slope, width, height, { x, y }, across) {
  const seen = [];
  for (let off = -REACH; off <= REACH; off += 0.5) {
    const u = Math.round(x + across.x * off), v = Math.round(y + across.y * off);
    seen.push(u < 0 || v < 0 || u >= width || v >= height ? 0 : slope[v * width + u]);
  }
  const most = Math.max(...seen), near = seen.map((value, i) => ({ value, off: i / 2 - REACH })).filter(({ value }) => value >= 0.7 * most);
  const weight = near.reduce((sum, { value }) => sum + value, 0) || 1;
  return { slope: most, off: near.reduce((sum, { value, off }) => sum + value * off, 0) / weight };
}

/** off = start + rise · reach, by least squares. */
function line(points) {
  if (points.length < 3) return { start: 0, rise: 0 };
  const mean = (pick) => points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const reach = mean((point) => point.reach), off = mean((point) => point.off);
  const spread = mean((point) => (point.reach - reach) ** 2) || 1;
  const rise = mean((point) => (point.reach - reach) * (point.off - off)) / spread;
  return { start: off - rise * reach, rise };
}

/** Where two sides meet. */
function crossing(a, b) {
  const turn = a.dx * b.dy - a.dy * b.dx, far = ((b.x - a.x) * b.dy - (b.y - a.y) * b.dx) / turn;
  return { x: a.x + a.dx * far, y: a.y + a.dy * far };
}

const cross = (o, a, b) => (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);

/** The convex hull, by Andrew's monotone chain. */
function hull(points) {
  const sorted = points.sort((a, b) => a.x - b.x || a.y - b.y);
  const half = (list) => list.reduce((kept, point) => {
    while (kept.length > 1 && cross(kept.at(-2), kept.at(-1), point) <= 0) kept.pop();
    kept.push(point);
    return kept;
  }, []).slice(0, -1);
  return [...half(sorted), ...half([...sorted].reverse())];
}

/** The four points of a hull that span the most. */
function quadrilateral(points) {
  let best = null, most = 0;
  for (let i = 0; i < points.length; i++) {
    for (let j = i + 2; j < points.length; j++) {
      const far = (from, to) => points.slice(from, to).reduce((kept, point) => {
        return Math.abs(cross(points[i], points[j], point)) > Math.abs(cross(points[i], points[j], kept)) ? point : kept;
      }, points[i]);
      const one = far(i + 1, j), other = [far(j + 1, points.length), far(0, i)]
        .reduce((a, b) => (Math.abs(cross(points[i], points[j], a)) > Math.abs(cross(points[i], points[j], b)) ? a : b));
      const found = [points[i], one, points[j], other], spans = area(found);
      if (spans > most) [best, most] = [found, spans];
    }
  }
  return best;
}

function area(corners) {
  const twice = corners.reduce((sum, { x, y }, i) => {
    const next = corners[(i + 1) % corners.length];
    return sum + x * next.y - next.x * y;
  }, 0);
  return Math.abs(twice) / 2;
}

/** Whether the corners are near enough to right angles. */
function square(corners) {
  return corners.every((point, i) => {
    const before = corners[(i + 3) % 4], after = corners[(i + 1) % 4];
    const turn = Math.atan2(Math.abs(cross(point, before, after)), (before.x - point.x) * (after.x - point.x) + (before.y - point.y) * (after.y - point.y));
    return (turn * 180) / Math.PI >= CORNER[0] && (turn * 180) / Math.PI <= CORNER[1];
  });
}

/** Clockwise from the top left. */
function ordered(corners) {
  const middle = { x: corners.reduce((sum, { x }) => sum + x, 0) / 4, y: corners.reduce((sum, { y }) => sum + y, 0) / 4 };
  const round = [...corners].sort((a, b) => Math.atan2(a.y - middle.y, a.x - middle.x) - Math.atan2(b.y - middle.y, b.x - middle.x));
  const first = round.reduce((kept, { x, y }, i) => (x + y < round[kept].x + round[kept].y ? i : kept), 0);
  return [0, 1, 2, 3].map((i) => round[(first + i) % 4]);
}
