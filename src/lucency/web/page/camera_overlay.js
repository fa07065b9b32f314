// What is drawn over the camera's picture: the film's edges, and the map within its corners.

import { homography, interpolate, inverse, project } from "./homography.js";
import { colour, settings, window as seenBy } from "./lucency.js";

const OVERLAY = 240;
/** Pixels along the longer side of the map. */
const EDGE = "#f4f7f9";
/** A colour that no evidence has. */

/** Draw the picture that was read, the corners and the map. `film` and `reading` are null where there is none. */
export function drawOverlay(canvas, picture, { preprocess }, { corners, film, reading }) {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  if (!corners) return;
  if (reading) pen.drawImage(mapOverlay(preprocess, corners, reading, film, canvas), 0, 0, canvas.width, canvas.height);
  pen.strokeStyle = EDGE;
  pen.lineWidth = Math.max(2, canvas.width / 320);
  pen.beginPath();
  corners.forEach(({ x, y }) => pen.lineTo(x * canvas.width, y * canvas.height));
  pen.closePath();
  pen.stroke();
}

const RAMP = Array.from({ length: 255 }, (_, level) => colour(((level - 127) / 127) * 10));

/** The map within the corners, as a canvas over the whole picture. */
export function mapOverlay(preprocess, corners, { map, rows, columns }, film, { width, height }) {
  const wide = width >= height ? OVERLAY : Math.round((OVERLAY * width) / height), tall = Math.round((wide * height) / width);
  const back = inverse(homography(corners)), seen = seenBy(film.width, film.height, settings(preprocess).fit);
  const picture = new ImageData(wide, tall), inside = (share) => share >= 0 && share <= 1;
  for (let y = 0, at = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++, at += 4) {
      const place = project(back, (x + 0.5) / wide, (y + 0.5) / tall);
      const u = (place.x * film.width - seen.left) / seen.width, v = (place.y * film.height - seen.top) / seen.height;
      if (![place.x, place.y, u, v].every(inside)) continue;
      const logit = interpolate(map, columns, rows, u * columns - 0.5, v * rows - 0.5);
      picture.data.set(RAMP[127 + Math.round(12.7 * Math.min(Math.max(logit, -10), 10))], at);
    }
  }
  const sheet = new OffscreenCanvas(wide, tall);
  sheet.getContext("2d").putImageData(picture, 0, 0);
  return sheet;
}
