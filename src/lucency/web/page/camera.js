// The phone's camera over a light box or a screen: each picture is searched for a film, squared, read, and drawn over.

import { gray } from "./lucency.js";
import { make, scale, tone, verdictWords } from "./panel.js";
import { judged, noticed } from "./reading.js";
import { say } from "./say.js";
import { found, refined, Steady } from "./seek.js";
import { drawOver } from "./over.js";
import { squared } from "./square.js";
import { by } from "./told.js";

const PHOTO = 640, FILM = 384, SHARP = 1920, KEPT = 1024;
/** Pixels along the longer side: of a picture and of the film that is read in it, of one that is kept and of its film. */

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
  const live = { open: true, rate: 0, steady: new Steady(engine.card) };
  page.addEventListener("close", () => {
    live.open = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }, { once: true });
  by("keep").onclick = () => {
    keep(photographed(video, live.steady.corners));
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
      await glance(engine, video, live.steady);
    } catch (error) {
      tell(say("camera_failed", { reason: error.message }));
      return;
    }
    live.rate = 0.9 * live.rate + 0.1 * (1000 / (performance.now() - begin));
    by("rate").textContent = live.steady.corners ? say("camera_rate", { rate: Math.round(live.rate) }) : "";
  }
}

const next = (video) => new Promise((done) => {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
  else requestAnimationFrame(done);
});

/** One picture: find, square, read, draw. */
async function glance(engine, video, steady) {
  const { card } = engine;
  const picture = stilled(video), photo = photograph(picture, PHOTO);
  const corners = steady.moved(found(photo));
  by("keep").disabled = !corners;
  const film = corners && { ...squared(photo, corners, FILM), facts: {} };
  const reading = film && judged(card, steady.calmed(await engine.read(film)), noticed(film, card));
  drawOver(by("live"), picture, card, { corners, film, reading });
  by("live").setAttribute("aria-label", corners ? say("camera_found") : say("camera_looking"));
  tell(reading ? say("camera_found_says", { verdict: verdictWords(reading) }) : say("camera_looking"));
  by("camera-page").classList.toggle("found", Boolean(reading));
  if (!reading) return by("camera-answer").replaceChildren();
  const said = make("p", `verdict ${tone(card, reading)}`, verdictWords(reading));
  by("camera-answer").replaceChildren(said, scale(card, reading), make("p", "doubt", reading.warnings[0] ?? ""));
}

/** What goes on, in a line that screen readers follow: written only when it changes, or they would never stop. */
function tell(words) {
  if (by("camera-state").textContent !== words) by("camera-state").textContent = words;
}

/** The film to keep: out of the sharpest picture, its corners searched for in that very one. */
function photographed(video, corners) {
  const photo = photograph(stilled(video), SHARP);
  return { ...squared(photo, refined(photo, found(photo) ?? corners), KEPT), wide: null, facts: {} };
}

const papers = {};

/** A canvas for that use, of that size, to draw over what is on it. */
function paper(use, width, height, settings) {
  const pen = papers[use];
  if (pen?.canvas.width === width && pen.canvas.height === height) return pen;
  return (papers[use] = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, ...settings }));
}

/** The video as it stands: what is drawn over is then the picture that was read, not the one after it. */
function stilled(video) {
  const pen = paper("picture", video.videoWidth, video.videoHeight);
  pen.drawImage(video, 0, 0);
  return pen.canvas;
}

/** The picture as gray, its longer side at most so long. */
function photograph(picture, most) {
  const share = Math.min(1, most / Math.max(picture.width, picture.height));
  const width = Math.round(picture.width * share), height = Math.round(picture.height * share);
  const pen = paper("photo", width, height, { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, width, height);
  return { pixels: gray(pen.getImageData(0, 0, width, height).data), width, height };
}
