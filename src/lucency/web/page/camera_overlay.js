// What is drawn over the camera's picture: the film's edges, and within its corners the veil and the strongest place.

import { KEY, marksOf, setVeil } from "./evidence.js";
import { homography, inverse, project } from "./homography.js";
import { settings, window as seenBy } from "./lucency.js";

const OVERLAY = 240;
/** Pixels along the longer side of the veil. */
const EDGE = "#f4f7f9";
/** A colour that no evidence has. */

/** Draw the picture that was read, the corners and the evidence. `film` and `reading` are null where there is none. */
export function drawOverlay(canvas, picture, { preprocess }, { corners, film, reading }) {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  if (!corners) return;
  pen.lineWidth = Math.max(2, canvas.width / 320);
  if (reading) {
    const marks = marksOf(reading);
    pen.drawImage(veilOverlay(preprocess, corners, marks, film, canvas), 0, 0, canvas.width, canvas.height);
    if (marks.box) drawBox(pen, preprocess, corners, marks, film, canvas);
  }
  pen.strokeStyle = EDGE;
  pen.beginPath();
  corners.forEach(({ x, y }) => pen.lineTo(x * canvas.width, y * canvas.height));
  pen.closePath();
  pen.stroke();
}

/** The box around the strongest place, within the corners. */
function drawBox(pen, preprocess, corners, { box, rows, columns }, film, { width, height }) {
  const seen = seenBy(film.width, film.height, settings(preprocess).resizeMode), map = homography(corners);
  pen.strokeStyle = KEY.box;
  pen.beginPath();
  for (const [x, y] of [[box.left, box.top], [box.right, box.top], [box.right, box.bottom], [box.left, box.bottom]]) {
    const u = (seen.left + (x * seen.width) / columns) / film.width, v = (seen.top + (y * seen.height) / rows) / film.height;
    const place = project(map, u, v);
    pen.lineTo(place.x * width, place.y * height);
  }
  pen.closePath();
  pen.stroke();
}

/** The veil within the corners, as a canvas over the whole picture. */
export function veilOverlay(preprocess, corners, marks, film, { width, height }) {
  const wide = width >= height ? OVERLAY : Math.round((OVERLAY * width) / height), tall = Math.round((wide * height) / width);
  const seen = seenBy(film.width, film.height, settings(preprocess).resizeMode), picture = new ImageData(wide, tall);
  const [a, b, c, d, e, f, g, h] = inverse(homography(corners)), inside = (share) => share >= 0 && share <= 1;
  for (let y = 0.5, at = 0; y < tall; y++) {
    for (let x = 0.5; x < wide; x++, at += 4) {
      const s = x / wide, t = y / tall, under = g * s + h * t + 1; // `project`, without an object a pixel
      const across = (a * s + b * t + c) / under, down = (d * s + e * t + f) / under;
      if (!inside(across) || !inside(down)) continue;
      const u = (across * film.width - seen.left) / seen.width, v = (down * film.height - seen.top) / seen.height;
      if (inside(u) && inside(v)) setVeil(picture.data, at, marks, u * marks.columns, v * marks.rows);
    }
  }
  const sheet = new OffscreenCanvas(wide, tall);
  sheet.getContext("2d").putImageData(picture, 0, 0);
  return sheet;
}
