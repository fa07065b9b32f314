// A film in a photograph: the four-cornered thing whose edges stand out most, whatever surrounds it, a bright light box
// or a dim room. Edges are gathered into outlines, a convex hull around them gives four corners, and each of the four
// sides is then laid through the steepest places near it. Where that thing is a light box, the film is searched for on it.

import { area, crossing, holds, hull, line, ordered, quadrilateral, square } from "./quad.js";

const LEAST_AREA = 0.08, FULLEST = 0.97;
const FILLED = 0.86, OVERFULL = 1.12;
/** Of the picture, that a film takes; of the four corners' area, that the hull takes: a disc overfills its best square. */
const SEEN = 0.55;
/** Share of the four sides that must show as an edge. */
const BESIDE = 0.15;
/** Of the longest outline, how long another must be to belong to the film: bright parts leave gaps on a light box. */
const REACH = 4, SAMPLES = 24;
/** Pixels on either side of a side that are searched for its edge, at so many places. */
const RIM = 3, BARE = 0.05;
/** Pixels that an edge is wide; of a light box, the least that a film leaves bare. */
const EVEN = 45;
/** Levels that nine tenths of a light box may lie apart; nearly all of it is brighter than nearly all of a film on it. */

/**
 * @param {Uint8Array} gray a small picture, about 160 pixels wide
 * @returns {{x: number, y: number}[]|null} corners as shares of width and height: top left, top right, bottom right,
 *   bottom left; null where there is no such thing
 */
export function findFilm(gray, width, height) {
  const edges = edgesOf(gray, width, height);
  const outer = sought(edges);
  const corners = outer && (onLightBox(gray, edges, outer) ?? outer);
  return corners && shares(corners, edges);
}

/** Corners that were found in a smaller copy, laid through the edges of this larger one where they show there. */
export function refineFilm(gray, width, height, corners) {
  const edges = edgesOf(gray, width, height);
  const rough = corners.map(({ x, y }) => ({ x: x * width - 0.5, y: y * height - 0.5 }));
  const found = laid(rough, edges);
  return found ? shares(found, edges) : corners;
}

const shares = (corners, { width, height }) => corners.map(({ x, y }) => ({ x: (x + 0.5) / width, y: (y + 0.5) / height }));

function edgesOf(gray, width, height) {
  const slope = slopes(smooth(gray, width, height), width, height);
  return { slope, limit: steep(slope), width, height };
}

/** The four-cornered thing that the long outlines span together, or else the longest alone, or else the next ones. */
function sought(edges, most = 1) {
  const parts = outlines(edges);
  const long = parts.filter((part) => part.length >= BESIDE * parts[0].length);
  for (const points of [long.flat(), ...long.slice(0, most)]) {
    const corners = cornersOf(points, edges);
    if (corners) return corners;
  }
  return null;
}

/** The film within these corners, where they are those of a light box: bare of film, bright and even around it. */
function onLightBox(gray, edges, outer) {
  const { width } = edges;
  const within = { ...edges, slope: edges.slope.map((value, at) => (holds(outer, at % width, Math.floor(at / width), RIM) ? value : 0)) };
  const inner = sought(within, 3);
  return inner && bare(gray, width, outer, inner) ? inner : null;
}

function bare(gray, width, outer, inner) {
  const box = new Uint32Array(256), film = new Uint32Array(256);
  gray.forEach((level, at) => {
    const x = at % width, y = Math.floor(at / width);
    if (holds(inner, x, y, RIM)) film[level] += 1;
    else if (holds(outer, x, y, RIM) && !holds(inner, x, y, -RIM)) box[level] += 1;
  });
  const dim = quantile(box, 0.1), covered = total(film);
  return total(box) > BARE * covered && dim > quantile(film, 0.8) && quantile(box, 0.9) - dim < EVEN;
}

const total = (counts) => counts.reduce((sum, count) => sum + count, 0);

/** The level below which that share of the counted pixels lies. */
function quantile(counts, share) {
  const wanted = share * total(counts);
  let seen = 0;
  return counts.findIndex((count) => (seen += count) > wanted);
}

/** The four corners that these edges span; null where they span nothing like a film. */
function cornersOf(points, edges) {
  const outline = hull(points), rough = quadrilateral(outline);
  if (!rough || !plausible(rough, outline, edges.width * edges.height)) return null;
  return laid(ordered(rough), edges);
}

/** Corners whose four sides lie through the steepest places near those between `rough`; null where too few show. */
function laid(rough, edges) {
  const sides = rough.map((point, i, all) => side(edges, point, all[(i + 1) % 4]));
  if (sides.reduce((sum, { found }) => sum + found, 0) / 4 < SEEN) return null;
  const corners = sides.map((one, i) => crossing(sides[(i + 3) % 4], one));
  return plausible(corners, corners, edges.width * edges.height) ? corners : null;
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
function outlines({ slope, limit, width, height }) {
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
function side(edges, from, to) {
  const long = Math.hypot(to.x - from.x, to.y - from.y), along = { x: (to.x - from.x) / long, y: (to.y - from.y) / long };
  const across = { x: -along.y, y: along.x }, found = [];
  for (let i = 0; i < SAMPLES; i++) {
    const reach = ((i + 0.5) / SAMPLES) * long;
    const best = steepest(edges, { x: from.x + along.x * reach, y: from.y + along.y * reach }, across);
    if (best.slope > edges.limit) found.push({ reach, off: best.off });
  }
  const middle = found.map(({ off }) => off).sort((a, b) => a - b)[found.length >> 1] ?? 0;
  const { start, rise } = line(found.filter(({ off }) => Math.abs(off - middle) <= 1.5));
  return {
    x: from.x + across.x * start, y: from.y + across.y * start,
    dx: along.x + across.x * rise, dy: along.y + across.y * rise, found: found.length / SAMPLES,
  };
}

/** Where the slope is steepest on a short way across a side, to a part of a pixel. */
function steepest({ slope, width, height }, { x, y }, across) {
  const seen = [];
  for (let off = -REACH; off <= REACH; off += 0.5) {
    const u = Math.round(x + across.x * off), v = Math.round(y + across.y * off);
    seen.push(u < 0 || v < 0 || u >= width || v >= height ? 0 : slope[v * width + u]);
  }
  const most = Math.max(...seen), near = seen.map((value, i) => ({ value, off: i / 2 - REACH })).filter(({ value }) => value >= 0.7 * most);
  const weight = near.reduce((sum, { value }) => sum + value, 0) || 1;
  return { slope: most, off: near.reduce((sum, { value, off }) => sum + value * off, 0) / weight };
}
