// What a picture must show to be one of its kind, and whether it has colour, as lucency.reader.input_checks has it.

import { BOX, planes, resized } from "./lucency.js";

const NEAR_GRAY = 16, CELLS = 32, LESION = 20, TEXTURE = [0.12, 0.5], BODY = 190, BETWEEN = 0.16;
const LUNG_ROWS = 4, LUNG_TEXTURE = 0.14;
/** Levels by which channels of gray differ at most; cells along the thumbnail; levels from the median colour; the others
 * as in input_checks. */
const CORNERS = [0, 1, 2, 29, 30, 31], MIDDLE = Array.from({ length: 16 }, (_, i) => i + 8);
/** Rows or columns of the thumbnail. */

/** What a kind of picture must show → whether a film does. */
export const SIGHTS = { round_field: hasRoundField, lesion: hasLesion, head_slice: hasHeadSlice, lung_slice: hasLungSlice };

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
  return darkCorners(levels(film)) >= 2;
}

/** How many corners are less than half as bright as the centre. */
function darkCorners(cells) {
  const mean = (rows, columns) => average(rows.flatMap((row) => columns.map((column) => cells[row * CELLS + column])));
  const [first, last] = [CORNERS.slice(0, 3), CORNERS.slice(3)], centre = mean(MIDDLE, MIDDLE);
  const corners = [first, last].flatMap((rows) => [first, last].map((columns) => mean(rows, columns)));
  return corners.filter((corner) => corner < 0.5 * centre).length;
}

/** Whether a twentieth of the picture lies LESION levels from its median colour. */
function hasLesion(film) {
  const channels = thumbnail(film), middle = channels.map((channel) => quantile(channel, 0.5));
  const away = Float64Array.from(channels[0], (_, cell) => Math.hypot(...channels.map((channel, i) => channel[cell] - middle[i])));
  return quantile(away, 0.95) >= LESION;
}

/** Whether two corners are dark and what is bright is as varied as a head by MRI. */
function hasHeadSlice(film) {
  const cells = levels(film), varied = step(cells) / average(cells);
  return darkCorners(cells) >= 2 && varied >= TEXTURE[0] && varied <= TEXTURE[1];
}

/** The mean difference of a cell from the mean of its four neighbours. */
function step(cells) {
  const inner = Array.from({ length: CELLS - 2 }, (_, i) => i + 1);
  const places = inner.flatMap((row) => inner.map((column) => row * CELLS + column));
  const around = (at) => (cells[at - CELLS] + cells[at + CELLS] + cells[at - 1] + cells[at + 1]) / 4;
  return average(places.map((at) => Math.abs(cells[at] - around(at))));
}

/** Whether cells are air or body, hardly between, with air left and right of a middle. */
function hasLungSlice(film) {
  const cells = levels(film), [air, body] = twoLevels(cells), quarter = (body - air) / 4, middle = (air + body) / 2;
  const between = cells.filter((level) => level > air + quarter && level < body - quarter).length / cells.length;
  let rows = 0;
  for (let first = 0; first < cells.length; first += CELLS) {
    const dark = cells.slice(first, first + CELLS).map((level) => level < middle);
    const ends = dark.filter((is, column) => is && column + 1 < CELLS && !dark[column + 1]).length;
    rows += ends - dark[0] >= 2;
  }
  return body >= BODY && between <= BETWEEN && rows >= LUNG_ROWS && step(cells) <= LUNG_TEXTURE * (body - air);
}

/** The mean levels of the dark and of the bright cells, split where these differ most (Otsu 1979). */
function twoLevels(cells) {
  const ordered = Float64Array.from(cells).sort(), n = ordered.length, total = ordered.reduce((sum, level) => sum + level, 0);
  let dark = 0, best = -1, found = [0, 0];
  for (let below = 1; below < n; below++) {
    dark += ordered[below - 1];
    const apart = ((total * below) / n - dark) ** 2 / (below * (n - below));
    if (apart > best) [best, found] = [apart, [dark / below, (total - dark) / (n - below)]];
  }
  return found;
}

/** The mean of red, green and blue of 32 × 32 cells. */
function levels(film) {
  const [red, green, blue] = thumbnail(film);
  return Array.from(red, (level, cell) => (level + green[cell] + blue[cell]) / 3);
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
