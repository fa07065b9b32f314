// The phone's camera over a light box or a screen: each picture is searched for a film, rectified, read, and drawn over.

import { cameraDoubts } from "./camera_doubts.js";
import { drawOverlay } from "./camera_overlay.js";
import { rectify } from "./homography.js";
import { say } from "./i18n.js";
import { gray } from "./lucency.js";
import { closeDoubts, inputDoubts, readingOf } from "./reading.js";
import { by, make, scale, tone, verdictWords } from "./reading_view.js";
import { findCorners, refineCorners, sharpCorners, Tracker } from "./tracker.js";

const PHOTO = 640, FILM = 384, SHARP = 1920, KEPT = 1024;
/** Pixels along the longer side: of a picture and of the film that is read in it, of one that is kept and of its film. */

/** Open the camera's page. @param {(film: object) => void} keep takes a film into the worklist */
export async function openCamera(engine, keep) {
  const page = by("camera-page");
  page.showModal();
  status(say("camera_asking"));
  const stream = await getStream().catch((error) => status(say("camera_none", { reason: error.message || error.name })));
  if (!stream) return;
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  if (!page.open) return stop();
  const video = Object.assign(by("video"), { srcObject: stream });
  await video.play();
  const live = { open: true, rate: 0, tracker: new Tracker() };
  page.addEventListener("close", () => {
    live.open = false;
    stop();
    video.srcObject = null;
  }, { once: true });
  by("keep").onclick = () => {
    keep(keptFilm(video, live.tracker.corners));
    page.close();
  };
  watch(engine, video, live);
}

async function getStream() {
  if (!navigator.mediaDevices) throw new Error(say("camera_insecure"));
  const video = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 960 } };
  return navigator.mediaDevices.getUserMedia({ video, audio: false });
}

async function watch(engine, video, live) {
  while (live.open) {
    const start = performance.now();
    await new Promise((done) => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(done) : requestAnimationFrame(done)));
    if (!live.open || !video.videoWidth) continue;
    try {
      await readPicture(engine, video, live.tracker);
    } catch (error) {
      return status(say("camera_failed", { reason: error.message }));
    }
    live.rate = 0.9 * live.rate + 0.1 * (1000 / (performance.now() - start));
    by("rate").textContent = live.tracker.corners ? say("camera_rate", { rate: Math.round(live.rate) }) : "";
  }
}

/** One picture: find, rectify, read, draw. */
async function readPicture(engine, video, tracker) {
  const { card } = engine;
  const picture = still(video), photo = grayscale(picture, PHOTO);
  const found = sharpCorners(photo), corners = tracker.follow(found);
  by("keep").disabled = !corners;
  const film = corners && { ...rectify(photo, found ?? corners, FILM, tracker.film), facts: {} };
  const reading = film && (await steadyReading(engine, film, tracker));
  drawOverlay(by("live"), picture, card, { corners, film, reading });
  by("live").setAttribute("aria-label", corners ? say("camera_found") : say("camera_looking"));
  by("camera-page").classList.toggle("found", Boolean(reading));
  if (!reading) {
    status(say("camera_looking"));
    return by("camera-answer").replaceChildren();
  }
  const why = tracker.still ? (reading.steady ? "" : say("camera_unsteady")) : say("camera_still");
  const shown = why ? { ...reading, verdict: "uncertain", held: [] } : reading, words = verdictWords(shown);
  status(say("camera_found_says", { verdict: words }));
  const hint = make("p", "doubt", [why, reading.warnings[0]].filter(Boolean).join(". "));
  by("camera-answer").replaceChildren(make("p", `verdict ${tone(card, shown)}`, words), scale(card, reading), hint);
}

/** The reading of the last few pictures as one; `steady`: whether most readings before it say so too. */
export async function steadyReading(engine, film, tracker) {
  const { card } = engine, outputs = await engine.read(tracker.average(film));
  const doubts = [...cameraDoubts(film), ...closeDoubts(card, outputs), ...inputDoubts(film, card)];
  const reading = readingOf(card, outputs, doubts);
  return { ...reading, steady: tracker.agrees(reading.verdict) };
}

/** A line that screen readers follow: written only when it changes, or they would never stop. */
function status(words) {
  if (by("camera-state").textContent !== words) by("camera-state").textContent = words;
}

/** The film to keep: from a sharper picture, its corners searched for in that very one. */
function keptFilm(video, corners) {
  const photo = grayscale(still(video), SHARP);
  return { ...rectify(photo, refineCorners(photo, findCorners(photo) ?? corners), KEPT), wide: null, facts: {}, photograph: true };
}

const contexts = {};

/** A canvas for that use, of that size, to draw over what is on it. */
function context(use, width, height, options) {
  const pen = contexts[use];
  if (pen?.canvas.width === width && pen.canvas.height === height) return pen;
  return (contexts[use] = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, ...options }));
}

/** The video as it stands: what is drawn over is then the picture that was read, not the one after it. */
function still(video) {
  const pen = context("picture", video.videoWidth, video.videoHeight);
  pen.drawImage(video, 0, 0);
  return pen.canvas;
}

/** The picture as gray, its longer side at most so long. */
function grayscale(picture, most) {
  const share = Math.min(1, most / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.round(side * share));
  const pen = context("photo", width, height, { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, width, height);
  return { pixels: gray(pen.getImageData(0, 0, width, height).data), width, height };
}
