// What a reading's map shows over a film, as lucency.paint.overlay draws it: a light veil and contours from the map's own
// maximum down, a box around the strongest place, and the lungs' outline.

import { interpolate } from "./homography.js";
import { KIND, MODALITIES } from "./modality.js";

export const FAINT = 1;
/** Logits below which evidence is faint: drawn as a share of this instead of its own maximum. */
const IN_COLOUR = MODALITIES[KIND].channels === 3;
/** Yellow hardly shows on skin and retina; cyan is in neither. */
const FOR = IN_COLOUR ? [0, 230, 255] : [255, 222, 70];
/** The colours on the film: for the finding; around the strongest place; of the lungs' outline. */
export const KEY = { evidence: `rgb(${FOR.join(" ")})`, box: "rgb(255 120 60)", lungs: "rgb(120 190 255)" };
const CONTOURS = [0.5, 0.75], VEIL = IN_COLOUR ? 0.5 : 0.35, VEIL_FROM = 0.25, BOXED = 0.75;
const SIDE = 320;
/** Pixels of the veil. */

/**
 * @param {{map: Float32Array, rows: number, columns: number}} reading
 * @returns {{map, rows, columns, top, veil, contours, box}} top: logits at the strongest place; contours and box in cells;
 *   box null where evidence is faint
 */
export function marksOf({ map, rows, columns }) {
  const most = Math.max(...map), top = Math.max(most, FAINT);
  const contours = CONTOURS.flatMap((share) => contour(map, rows, columns, share * top));
  return { map, rows, columns, top: most, opacity: opacities(map, top), contours, box: most >= top ? strongest(map, rows, columns, most) : null };
}

/** Of each cell, 0 … 255: nothing up to VEIL_FROM of the strongest evidence, VEIL at it. */
function opacities(map, top) {
  return Float32Array.from(map, (value) => Math.round(255 * VEIL * Math.min(Math.max((value / top - VEIL_FROM) / (1 - VEIL_FROM), 0), 1)));
}

/** Set a picture's pixel to the veil at a place, in cells from the map's corner. @param data RGBA, from `at` on */
export function setVeil(data, at, { opacity, rows, columns }, x, y) {
  [data[at], data[at + 1], data[at + 2]] = FOR;
  data[at + 3] = Math.round(interpolate(opacity, columns, rows, x - 0.5, y - 0.5));
}

/** The veil as a canvas, to be laid over what the network saw. */
export function veilCanvas(marks) {
  const picture = new ImageData(SIDE, SIDE);
  for (let y = 0, at = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++, at += 4) {
      setVeil(picture.data, at, marks, ((x + 0.5) * marks.columns) / SIDE, ((y + 0.5) * marks.rows) / SIDE);
    }
  }
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

/** Contours and box over `seen`, the lungs' outline (a grid, above zero inside) over the film; in the pen's units. */
export function drawMarks(pen, { rows, columns, contours, box }, seen, lungs, film, wide) {
  if (lungs) stroke(pen, contour(lungs.grid, lungs.side, lungs.side, 0), scaled({ left: 0, top: 0, ...film }, lungs.side, lungs.side), KEY.lungs, wide);
  stroke(pen, contours, scaled(seen, rows, columns), KEY.evidence, wide);
  if (!box) return;
  const at = scaled(seen, rows, columns), [left, top] = at(box.left, box.top), [right, bottom] = at(box.right, box.bottom);
  Object.assign(pen, { strokeStyle: KEY.box, lineWidth: 2 * wide });
  pen.strokeRect(left, top, right - left, bottom - top);
}

/** From cells to where they lie. */
const scaled = ({ left, top, width, height }, rows, columns) => (x, y) => [left + (x * width) / columns, top + (y * height) / rows];

function stroke(pen, segments, at, colour, wide) {
  Object.assign(pen, { strokeStyle: colour, lineWidth: wide, lineCap: "round" });
  pen.beginPath();
  for (const [from, to] of segments) {
    pen.moveTo(...at(...from));
    pen.lineTo(...at(...to));
  }
  pen.stroke();
}

/** The box of the cells around the strongest one with at least BOXED of its evidence, in cells. */
export function strongest(map, rows, columns, most) {
  const start = map.indexOf(most), box = { left: start % columns, top: Math.floor(start / columns) };
  const found = [[box.left, box.top]], seen = new Set([start]);
  for (const [x, y] of found) {
    for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, rows - 1); v++) {
      for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, columns - 1); u++) {
        const cell = v * columns + u;
        if (map[cell] < BOXED * most || seen.has(cell)) continue;
        seen.add(cell);
        found.push([u, v]);
      }
    }
  }
  const [across, down] = [0, 1].map((axis) => found.map((place) => place[axis]));
  return { left: Math.min(...across), top: Math.min(...down), right: Math.max(...across) + 1, bottom: Math.max(...down) + 1 };
}

/** Where a grid crosses a level, as segments [[x, y], [x, y]] in cells, by marching squares; around it all is below. */
export function contour(values, rows, columns, level) {
  const at = (x, y) => (x < 0 || y < 0 || x >= columns || y >= rows ? -1 : values[y * columns + x] - level || -1e-9);
  const found = [];
  for (let y = -1; y < rows; y++) {
    for (let x = -1; x < columns; x++) {
      const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)], left = x + 0.5, top = y + 0.5;
      const points = [
        [a, b, left + a / (a - b), top], [b, c, left + 1, top + b / (b - c)],
        [d, c, left + d / (d - c), top + 1], [a, d, left, top + a / (a - d)],
      ].map(([one, other, ...point]) => (one * other < 0 ? point : null));
      const crossed = points.filter(Boolean);
      if (crossed.length === 2) found.push(crossed);
      if (crossed.length < 4) continue;
      const [up, right, down, side] = points; // a saddle: what lies above stays apart
      found.push(...(a > 0 ? [[up, side], [right, down]] : [[up, right], [down, side]]));
    }
  }
  return found;
}
