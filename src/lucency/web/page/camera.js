// The phone's camera over a light box or a screen: each picture is searched for a film, squared, read, and drawn over.

import { colour, gray, window as seenBy } from "./lucency.js";
import { make, scale, tone, verdictWords } from "./panel.js";
import { judged, noticed } from "./reading.js";
import { findFilm } from "./find.js";
import { say } from "./say.js";
import { inverse, placed, projection, squared } from "./square.js";
import { by } from "./told.js";

const PHOTO = 640, SMALL = 160, FILM = 384, OVERLAY = 240, KEPT = 1024;
/** Pixels along the longer side: of a picture, of what is searched, of the film that is read, of the map, of one kept. */
const CALM = 0.6;
/** How much of the last corners stays in the next: hands tremble. */

/** Open the camera's page. @param {(film: object) => void} keep takes a film into the worklist */
export async function openCamera(engine, keep) {
  const page = by("camera-page");
  page.showModal();
  tell(say("camera_asking"));
  const stream = await asked().catch((error) => refused(error));
  if (!stream) return;
  if (!page.open) return stream.getTracks().forEach((track) => track.stop());
  const video = Object.assign(by("video"), { srcObject: stream });
  await video.play();
  const live = { open: true, corners: null, rate: 0 };
  page.addEventListener("close", () => {
    live.open = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }, { once: true });
  by("keep").onclick = () => {
    keep({ ...squared(photograph(video, 1920), live.corners, KEPT), wide: null, facts: {} });
    page.close();
  };
  watch(engine, video, live);
}

async function asked() {
  if (!navigator.mediaDevices) throw new Error(say("camera_insecure"));
  const wish = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 960 } };
  return navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
}

function refused(error) {
  tell(say("camera_none", { reason: error.message || error.name }));
  return null;
}

async function watch(engine, video, live) {
  while (live.open) {
    const begin = performance.now();
    await next(video);
    if (!live.open || !video.videoWidth) continue;
    try {
      await glance(engine, video, live);
    } catch (error) {
      tell(say("camera_failed", { reason: error.message }));
      return;
    }
    live.rate = 0.9 * live.rate + 0.1 * (1000 / (performance.now() - begin));
    by("rate").textContent = live.corners ? say("camera_rate", { rate: Math.round(live.rate) }) : "";
  }
}

const next = (video) => new Promise((done) => {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
  else requestAnimationFrame(done);
});

/** One picture: find, square, read, draw. */
async function glance(engine, video, live) {
  const photo = photograph(video, PHOTO);
  live.corners = steadied(live.corners, found(photo));
  by("keep").disabled = !live.corners;
  const film = live.corners && { ...squared(photo, live.corners, FILM), facts: {} };
  const reading = film && judged(engine.card, await engine.read(film), noticed(film, engine.card));
  draw(engine.card, video, live.corners, reading, film);
  tell(reading ? say("camera_found_says", { verdict: verdictWords(reading) }) : say("camera_looking"));
  if (!reading) return by("camera-answer").replaceChildren();
  const said = make("p", `verdict ${tone(engine.card, reading)}`, verdictWords(reading));
  by("camera-answer").replaceChildren(said, scale(engine.card, reading), make("p", "doubt", reading.warnings[0] ?? ""));
}

/** What goes on, in a line that screen readers follow: written only when it changes, or they would never stop. */
function tell(words) {
  if (by("camera-state").textContent !== words) by("camera-state").textContent = words;
}

let pen = null;

/** The picture as gray, its longer side at most so long. */
function photograph(video, most) {
  const share = Math.min(1, most / Math.max(video.videoWidth, video.videoHeight));
  const width = Math.round(video.videoWidth * share), height = Math.round(video.videoHeight * share);
  if (pen?.canvas.width !== width || pen.canvas.height !== height) {
    pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, alpha: false });
  }
  pen.drawImage(video, 0, 0, width, height);
  return { pixels: gray(pen.getImageData(0, 0, width, height).data), width, height };
}

/** Its corners, searched for in a smaller copy: each pixel the mean of a block. */
export function found({ pixels, width, height }) {
  const block = Math.max(1, Math.round(Math.max(width, height) / SMALL));
  const wide = Math.floor(width / block), tall = Math.floor(height / block);
  const small = new Uint8Array(wide * tall);
  for (let y = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++) {
      let sum = 0;
      for (let v = 0; v < block; v++) {
        for (let u = 0, at = (y * block + v) * width + x * block; u < block; u++) sum += pixels[at + u];
      }
      small[y * wide + x] = sum / (block * block);
    }
  }
  return findFilm(small, wide, tall);
}

function steadied(before, now) {
  if (!before || !now) return now;
  const far = Math.max(...now.map(({ x, y }, i) => Math.hypot(x - before[i].x, y - before[i].y)));
  if (far > 0.08) return now;
  return now.map(({ x, y }, i) => ({ x: CALM * before[i].x + (1 - CALM) * x, y: CALM * before[i].y + (1 - CALM) * y }));
}

function draw(card, video, corners, reading, film) {
  const canvas = by("live");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const over = canvas.getContext("2d");
  over.drawImage(video, 0, 0);
  canvas.setAttribute("aria-label", corners ? say("camera_found") : say("camera_looking"));
  if (!corners) return;
  over.drawImage(mapOver(card, corners, reading, film, canvas), 0, 0, canvas.width, canvas.height);
  over.strokeStyle = "#ffde46";
  over.lineWidth = Math.max(2, canvas.width / 320);
  over.beginPath();
  corners.forEach(({ x, y }) => over.lineTo(x * canvas.width, y * canvas.height));
  over.closePath();
  over.stroke();
}

const RAMP = Array.from({ length: 255 }, (_, level) => colour(((level - 127) / 127) * 10));

/** The map laid within the corners, as a canvas over the whole picture. */
export function mapOver({ preprocess }, corners, { map, rows, columns }, film, { width, height }) {
  const wide = width >= height ? OVERLAY : Math.round((OVERLAY * width) / height), tall = Math.round((wide * height) / width);
  const back = inverse(projection(corners)), seen = seenBy(film.width, film.height, preprocess.fit);
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
