// What a picture must show to be one of its kind, and whether it has colour, as lucency.reader.input_checks has it.

import { BOX, planes, resized } from "./lucency.js";

const NEAR_GRAY = 16, CELLS = 32, LESION = 20;
/** Levels by which channels of gray differ at most; cells along the thumbnail; levels from the median colour. */
const CORNERS = [0, 1, 2, 29, 30, 31], MIDDLE = Array.from({ length: 16 }, (_, i) => i + 8);
/** Rows or columns of the thumbnail. */

/** What a kind of picture must show → whether a film does. */
export const SIGHTS = { round_field: hasRoundField, lesion: hasLesion };

/** Share of a film's pixels whose channels differ by more than NEAR_GRAY levels. */
export function colouredShare({ colour, width, height }) {
  if (!colour) return 0;
  const step = Math.max(1, Math.floor(Math.sqrt((width * height) / 65536)));
  let all = 0, coloured = 0;
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step, all++) {
      const [red, green, blue] = colour.subarray(3 * (y * width + x), 3 * (y * width + x) + 3);
      coloured += Math.max(red, green, blue) - Math.min(red, green, blue) > NEAR_GRAY;
    }
  }
  return coloured / all;
}

/** Whether at least two corners are less than half as bright as the centre, as around the field of a retinal camera. */
function hasRoundField(film) {
  const [red, green, blue] = thumbnail(film), level = (cell) => (red[cell] + green[cell] + blue[cell]) / 3;
  const mean = (rows, columns) => average(rows.flatMap((row) => columns.map((column) => level(row * CELLS + column))));
  const [first, last] = [CORNERS.slice(0, 3), CORNERS.slice(3)], centre = mean(MIDDLE, MIDDLE);
  const corners = [first, last].flatMap((rows) => [first, last].map((columns) => mean(rows, columns)));
  return corners.filter((corner) => corner < 0.5 * centre).length >= 2;
}

/** Whether a twentieth of the picture lies LESION levels from its median colour. */
function hasLesion(film) {
  const channels = thumbnail(film), middle = channels.map((channel) => quantile(channel, 0.5));
  const away = Float64Array.from(channels[0], (_, cell) => Math.hypot(...channels.map((channel, i) => channel[cell] - middle[i])));
  return quantile(away, 0.95) >= LESION;
}

/** The mean colour of 32 × 32 cells: red, green, blue. */
function thumbnail(film) {
  const given = film.colour ? planes(film.colour) : Array(3).fill(film.pixels);
  return given.map((pixels) => resized({ ...film, pixels }, CELLS, BOX).pixels);
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Between two values by share, as numpy.percentile has it. */
export function quantile(values, share) {
  const sorted = values.slice().sort(), place = share * (sorted.length - 1), below = Math.floor(place);
  return sorted[below] + (place - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
}
