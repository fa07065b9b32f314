// A film in a photograph: the four-cornered thing whose edges stand out most, on a bright light box or in a dim room.
// Edges are gathered into outlines, the convex hull around them gives four corners, and each side is then laid through
// the steepest places near it. If that thing is a light box, the film is searched for on it.

import { area, clamp, contains, crossing, hull, line, ordered, quadrilateral, rectangular, sum } from "./homography.js";

const MIN_AREA = 0.08, MAX_AREA = 0.97;
/** Shares of the picture that a film takes. */
const FILLED = 0.86, OVERFULL = 1.12;
/** Shares of the four corners' area that their hull takes: a disc overfills its best square. */
const SEEN = 0.55;
/** Share of the four sides that must show as an edge. */
const BESIDE = 0.15;
/** Of the longest outline, how long another must be to belong to the film: bright parts leave gaps on a light box. */
const REACH = 4, FARTHER = 12, SAMPLES = 32;
/** Pixels on either side of a side that are searched for its edge, in the small picture and in a larger one, at so many places. */
const STRONG = 0.5, TILT = 8, NEAR = 2, PASSES = 3;
/** Of the line with most slope under it, how much another must have; pixels that a line may tilt, and that its edge may be off it;
 *  how often the line is laid anew. */
const RIM = 3, BARE = 0.05;
/** Pixels that an edge is wide; of a light box, the least that a film leaves bare. */
const FEW = 5000;
/** Places of a larger picture whose slopes say what counts as an edge. */
const EVEN = 45;
/** Levels that nine tenths of a light box may lie apart; nearly all of it is brighter than nearly all of a film on it. */

/**
 * @param {Uint8Array} gray a small picture, about 160 pixels wide
 * @returns {{x: number, y: number}[]|null} corners as shares of width and height: top left, top right, bottom right,
 *   bottom left; null without a film
 */
export function findFilm(gray, width, height) {
  const edges = edgesOf(gray, width, height);
  const outer = search(edges);
  const corners = outer && (onLightBox(gray, edges, outer) ?? outer);
  return corners && toShares(corners, edges);
}

/** Corners near these, laid through the edges of a larger picture; null where too few show. */
export function refineFilm(gray, width, height, corners) {
  const slope = slopeIn(gray, width, height), some = Float32Array.from({ length: FEW }, (_, i) => {
    const at = Math.floor(((i + 0.5) * gray.length) / FEW);
    return slope(at % width, Math.floor(at / width));
  });
  const edges = { slope, limit: limitOf(some), width, height, reach: FARTHER };
  const found = fitSides(corners.map(({ x, y }) => ({ x: x * width - 0.5, y: y * height - 0.5 })), edges);
  return found && toShares(found, edges);
}

/** How fast the gray changes at a place, each pixel taken as the mean of itself and its neighbours: where few places are asked for. */
const slopeIn = (gray, width, height) => (x, y) => {
  if (x < 2 || y < 2 || x > width - 3 || y > height - 3) return 0;
  const at = y * width + x, row = (from) => gray[from - 1] + gray[from] + gray[from + 1];
  let across = 0, down = row(at + width) + row(at + 2 * width) - row(at - width) - row(at - 2 * width);
  for (let from = at - width; from <= at + width; from += width) across += gray[from + 1] + gray[from + 2] - gray[from - 1] - gray[from - 2];
  return Math.sqrt(across * across + down * down) / 9;
};

const toShares = (corners, { width, height }) => corners.map(({ x, y }) => ({ x: (x + 0.5) / width, y: (y + 0.5) / height }));

/** How fast the gray changes, whichever way, and what counts as an edge in this picture. */
function edgesOf(gray, width, height) {
  const even = smooth(gray, width, height), slope = new Float32Array(gray.length);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const across = even[at + 1] - even[at - 1], down = even[at + width] - even[at - width];
      slope[at] = Math.sqrt(across * across + down * down);
    }
  }
  return { slopes: slope, slope: (x, y) => slope[y * width + x], limit: limitOf(slope.slice()), width, height, reach: REACH };
}

/** What counts as an edge among these slopes, which it sorts. */
const limitOf = (slopes) => Math.max(8, 0.2 * slopes.sort()[Math.floor(0.98 * slopes.length)]);

/** The mean of each pixel and its neighbours. */
function smooth(gray, width, height) {
  const rows = new Float32Array(gray.length), out = new Float32Array(gray.length);
  const ends = (place, size) => (place > 0) + (place < size - 1);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) rows[at] = gray[at] + (x > 0 ? gray[at - 1] : 0) + (x < width - 1 ? gray[at + 1] : 0);
  }
  const across = Float64Array.from({ length: width }, (_, x) => 1 + ends(x, width));
  for (let y = 0, at = 0; y < height; y++) {
    const down = 1 + ends(y, height);
    for (let x = 0; x < width; x++, at++) {
      const sum = rows[at] + (y > 0 ? rows[at - width] : 0) + (y < height - 1 ? rows[at + width] : 0);
      out[at] = sum / (across[x] * down);
    }
  }
  return out;
}

function eachNear(x, y, reach, width, height, act) {
  for (let v = Math.max(y - reach, 0); v <= Math.min(y + reach, height - 1); v++) {
    for (let u = Math.max(x - reach, 0); u <= Math.min(x + reach, width - 1); u++) act(v * width + u);
  }
}

/** The four-cornered thing that the long outlines span together, or else the longest alone, or else the next ones. */
function search(edges, most = 1) {
  const parts = outlines(edges);
  const long = parts.filter((part) => part.length >= BESIDE * parts[0].length);
  for (const points of [long.flat(), ...long.slice(0, most)]) {
    const outline = hull(points), rough = quadrilateral(outline);
    const corners = rough && plausible(rough, outline, edges) && fitSides(ordered(rough), edges);
    if (corners) return corners;
  }
  return null;
}

/** The connected parts of what is steeper than the limit, gaps of a pixel bridged, the longest first: points. */
function outlines({ slopes, limit, width, height }) {
  const left = slopes.map((value) => Number(value > limit)), parts = [];
  for (let start = left.indexOf(1); start >= 0; start = left.indexOf(1, start + 1)) {
    const part = [start];
    left[start] = 0;
    for (const here of part) {
      eachNear(here % width, Math.floor(here / width), 2, width, height, (at) => left[at] && part.push(at) && (left[at] = 0));
    }
    parts.push(part.map((at) => ({ x: at % width, y: Math.floor(at / width) })));
  }
  return parts.sort((a, b) => b.length - a.length);
}

/** The film within these corners, if they are a light box's: bare of film, bright and even around it. */
function onLightBox(gray, edges, outer) {
  const { width } = edges;
  const slopes = edges.slopes.map((value, at) => (value && contains(outer, at % width, Math.floor(at / width), RIM) ? value : 0));
  const inner = search({ ...edges, slopes, slope: (x, y) => slopes[y * width + x] }, 3);
  return inner && isBare(gray, width, outer, inner) ? inner : null;
}

function isBare(gray, width, outer, inner) {
  const box = new Uint32Array(256), film = new Uint32Array(256);
  gray.forEach((level, at) => {
    const x = at % width, y = Math.floor(at / width);
    if (contains(inner, x, y, RIM)) film[level] += 1;
    else if (contains(outer, x, y, RIM) && !contains(inner, x, y, -RIM)) box[level] += 1;
  });
  const dim = quantile(box, 0.1);
  return total(box) > BARE * total(film) && dim > quantile(film, 0.8) && quantile(box, 0.9) - dim < EVEN;
}

const total = (counts) => counts.reduce((sum, count) => sum + count, 0);

/** The level below which that share of the counted pixels lies. */
function quantile(counts, share) {
  const wanted = share * total(counts);
  let seen = 0;
  return counts.findIndex((count) => (seen += count) > wanted);
}

/** Corners whose four sides lie through the steepest places near those between `rough`; null where too few show. */
function fitSides(rough, edges) {
  const sides = rough.map((point, i, all) => side(edges, point, all[(i + 1) % 4]));
  if (sides.reduce((sum, { found }) => sum + found, 0) / 4 < SEEN) return null;
  const corners = sides.map((one, i) => crossing(sides[(i + 3) % 4], one));
  return plausible(corners, corners, edges) ? corners : null;
}

/** Whether four corners can be a film's, given the outline they were taken from. */
function plausible(corners, outline, { width, height }) {
  if (!corners.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))) return false;
  const size = area(corners), filled = area(outline) / size, share = size / (width * height);
  return share > MIN_AREA && share < MAX_AREA && filled > FILLED && filled < OVERFULL && rectangular(corners);
}

/** The straight edge near the line from one corner to the next: a point, a direction, and how much of it is seen. */
function side(edges, from, to) {
  const long = Math.hypot(to.x - from.x, to.y - from.y), along = { x: (to.x - from.x) / long, y: (to.y - from.y) / long };
  const across = { x: -along.y, y: along.x };
  const rows = Array.from({ length: SAMPLES }, (_, i) => {
    const reach = ((i + 0.5) / SAMPLES) * long;
    return { reach, slopes: profile(edges, { x: from.x + along.x * reach, y: from.y + along.y * reach }, across) };
  });
  let { start, rise } = outermost(rows, edges, long), found = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const seen = rows.map(({ reach, slopes }) => ({ reach, ...steepest(slopes, start + rise * reach, edges.reach) }));
    found = seen.filter(({ slope }) => slope > edges.limit);
    ({ start, rise } = line(found));
  }
  return {
    x: from.x + across.x * start, y: from.y + across.y * start,
    dx: along.x + across.x * rise, dy: along.y + across.y * rise, found: found.length / SAMPLES,
  };
}

/** Slopes on a way across a side, from `reach` pixels outside to `reach` inside, in halves of a pixel. */
function profile({ slope, width, height, reach }, { x, y }, across) {
  return Array.from({ length: 4 * reach + 1 }, (_, i) => {
    const off = i / 2 - reach, u = Math.round(x + across.x * off), v = Math.round(y + across.y * off);
    return u < 0 || v < 0 || u >= width || v >= height ? 0 : slope(u, v);
  });
}

/**
 * Of the lines that have much slope under them the outermost: a film has edges of its own, what lies around it has none
 * so near. No place counts for more than an edge does, so that bones do not outweigh a faint rim.
 */
function outermost(rows, { limit, reach }, long) {
  const lines = [], most = Math.min(2 * reach, TILT);
  for (let from = -reach; from <= reach; from++) {
    for (let to = Math.max(from - most, -reach); to <= Math.min(from + most, reach); to++) {
      const rise = (to - from) / long;
      const under = ({ reach: at, slopes }) => slopes[Math.round(2 * (from + rise * at + reach))] - limit / 2;
      lines.push({ start: from, rise, off: from + to, edge: sum(rows, (row) => clamp(under(row), 0, limit)) });
    }
  }
  const best = Math.max(...lines.map(({ edge }) => edge)), strong = lines.filter(({ edge }) => edge >= STRONG * best);
  const first = Math.min(...strong.map(({ off }) => off));
  return strong.filter(({ off }) => off <= first + 2 * NEAR).reduce((kept, one) => (one.edge > kept.edge ? one : kept));
}

/** Where the slope is steepest near `middle`, to a part of a pixel. */
function steepest(slopes, middle, reach) {
  const seen = slopes.map((value, i) => ({ value, off: i / 2 - reach })).filter(({ off }) => Math.abs(off - middle) <= NEAR);
  const most = Math.max(...seen.map(({ value }) => value)), near = seen.filter(({ value }) => value >= 0.7 * most);
  const weight = sum(near, ({ value }) => value) || 1;
  return { slope: most, off: sum(near, ({ value, off }) => value * off) / weight };
}
