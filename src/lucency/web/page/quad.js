// Four corners in the plane: around points, in order, near enough to a rectangle seen at an angle.

const CORNER = [50, 130];
/** Degrees that a corner may have: steeper views make a map nobody can place. */

const cross = (o, a, b) => (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);

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

/** The four points of a hull that span the most. */
export function quadrilateral(points) {
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

export function area(corners) {
  const twice = corners.reduce((sum, { x, y }, i) => {
    const next = corners[(i + 1) % corners.length];
    return sum + x * next.y - next.x * y;
  }, 0);
  return Math.abs(twice) / 2;
}

/** Whether the corners are near enough to right angles. */
export function square(corners) {
  return corners.every((point, i) => {
    const before = corners[(i + 3) % 4], after = corners[(i + 1) % 4];
    const turn = Math.atan2(Math.abs(cross(point, before, after)), (before.x - point.x) * (after.x - point.x) + (before.y - point.y) * (after.y - point.y));
    return (turn * 180) / Math.PI >= CORNER[0] && (turn * 180) / Math.PI <= CORNER[1];
  });
}

/** Clockwise from the top left. */
export function ordered(corners) {
  const middle = { x: corners.reduce((sum, { x }) => sum + x, 0) / 4, y: corners.reduce((sum, { y }) => sum + y, 0) / 4 };
  const round = [...corners].sort((a, b) => Math.atan2(a.y - middle.y, a.x - middle.x) - Math.atan2(b.y - middle.y, b.x - middle.x));
  const first = round.reduce((kept, { x, y }, i) => (x + y < round[kept].x + round[kept].y ? i : kept), 0);
  return [0, 1, 2, 3].map((i) => round[(first + i) % 4]);
}

/** off = start + rise · reach, by least squares. */
export function line(points) {
  if (points.length < 3) return { start: 0, rise: 0 };
  const mean = (pick) => points.reduce((sum, point) => sum + pick(point), 0) / points.length;
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
export function holds(corners, x, y, rim) {
  return corners.every((from, i) => {
    const to = corners[(i + 1) % 4];
    return cross(from, to, { x, y }) >= rim * Math.hypot(to.x - from.x, to.y - from.y);
  });
}
