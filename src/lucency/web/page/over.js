// What is drawn over the camera's picture: the film's edges, and the map laid within its corners.

import { colour, settings, window as seenBy } from "./lucency.js";
import { inverse, placed, projection } from "./square.js";

const OVERLAY = 240;
/** Pixels along the longer side of the map. */
const EDGE = "#f4f7f9";
/** A colour that no evidence has. */

/** Draw the picture that was read, the corners and the map. `film` and `reading` are null where there is none. */
export function drawOver(canvas, picture, { preprocess }, { corners, film, reading }) {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  if (!corners) return;
  if (reading) pen.drawImage(mapOver(preprocess, corners, reading, film, canvas), 0, 0, canvas.width, canvas.height);
  pen.strokeStyle = EDGE;
  pen.lineWidth = Math.max(2, canvas.width / 320);
  pen.beginPath();
  corners.forEach(({ x, y }) => pen.lineTo(x * canvas.width, y * canvas.height));
  pen.closePath();
  pen.stroke();
}

const RAMP = Array.from({ length: 255 }, (_, level) => colour(((level - 127) / 127) * 10));

/** The map laid within the corners, as a canvas over the whole picture. */
export function mapOver(how, corners, { map, rows, columns }, film, { width, height }) {
  const wide = width >= height ? OVERLAY : Math.round((OVERLAY * width) / height), tall = Math.round((wide * height) / width);
  const back = inverse(projection(corners)), seen = seenBy(film.width, film.height, settings(how).fit);
  const picture = new ImageData(wide, tall);
  for (let y = 0, at = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++, at += 4) {
      const film_ = placed(back, (x + 0.5) / wide, (y + 0.5) / tall);
      if (film_.x < 0 || film_.x > 1 || film_.y < 0 || film_.y > 1) continue;
      const u = (film_.x * film.width - seen.left) / seen.width, v = (film_.y * film.height - seen.top) / seen.height;
      if (u < 0 || u > 1 || v < 0 || v > 1) continue;
      const evidence = cell(map, rows, columns, u, v);
      picture.data.set(RAMP[127 + Math.round(12.7 * Math.min(Math.max(evidence, -10), 10))], at);
    }
  }
  const sheet = new OffscreenCanvas(wide, tall);
  sheet.getContext("2d").putImageData(picture, 0, 0);
  return sheet;
}

/** A map's value, interpolated between the centres of its cells. */
function cell(map, rows, columns, u, v) {
  const x = Math.min(Math.max(u * columns - 0.5, 0), columns - 1), y = Math.min(Math.max(v * rows - 0.5, 0), rows - 1);
  const left = Math.floor(x), top = Math.floor(y), right = Math.min(left + 1, columns - 1), below = Math.min(top + 1, rows - 1);
  const upper = map[top * columns + left] * (1 - x + left) + map[top * columns + right] * (x - left);
  const lower = map[below * columns + left] * (1 - x + left) + map[below * columns + right] * (x - left);
  return upper * (1 - y + top) + lower * (y - top);
}
