// What is drawn over the camera's picture: the film's edges, and within its corners the veil and the strongest place.

import { KEY, marksOf, veilAt } from "./evidence.js";
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
  const seen = seenBy(film.width, film.height, settings(preprocess).fit), map = homography(corners);
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
  const back = inverse(homography(corners)), seen = seenBy(film.width, film.height, settings(preprocess).fit);
  const picture = new ImageData(wide, tall), inside = (share) => share >= 0 && share <= 1;
  for (let y = 0, at = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++, at += 4) {
      const place = project(back, (x + 0.5) / wide, (y + 0.5) / tall);
      const u = (place.x * film.width - seen.left) / seen.width, v = (place.y * film.height - seen.top) / seen.height;
      if ([place.x, place.y, u, v].every(inside)) picture.data.set(veilAt(marks, u * marks.columns, v * marks.rows), at);
    }
  }
  const sheet = new OffscreenCanvas(wide, tall);
  sheet.getContext("2d").putImageData(picture, 0, 0);
  return sheet;
}
