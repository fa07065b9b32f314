// The phone's camera over a light box or a screen: each picture is searched for a film, rectified, read, and drawn over.

import { drawOverlay } from "./camera_overlay.js";
import { rectify } from "./homography.js";
import { say } from "./i18n.js";
import { gray } from "./lucency.js";
import { CALMED, closeDoubts, inputDoubts, readingOf } from "./reading.js";
import { by, make, scale, tone, verdictWords } from "./reading_view.js";
import { findCorners, refineCorners } from "./tracker.js";

const PHOTO = 640, SHARP = 1920, KEPT = 1536;
/** Pixels along the longer side: of a picture that is read, of one that is kept and of its film. */
const VOTES = 8, AGREED = 0.75;
/** Pictures whose verdicts are compared; the share that must say the same for a verdict to be steady. */

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
  const worker = new Worker(`camera_worker.js?lang=${say("language")}`, { type: "module" });
  const live = { open: true, rate: 0, turn: 0, count: 0, corners: null, worker };
  page.addEventListener("close", () => {
    live.open = false;
    worker.terminate();
    stop();
    video.srcObject = null;
  }, { once: true });
  by("keep").onclick = () => {
    keep(keptFilm(video, live.corners));
    page.close();
  };
  watch(engine, video, live);
}

async function getStream() {
  if (!navigator.mediaDevices) throw new Error(say("camera_insecure"));
  const video = { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 960 } };
  return navigator.mediaDevices.getUserMedia({ video, audio: false });
}

/** Each picture is looked at in the worker while the one before it is read here. */
async function watch(engine, video, live) {
  for (let next = look(engine, video, live); live.open;) {
    const start = performance.now();
    try {
      const seen = await next;
      next = look(engine, video, live);
      next.catch(() => {}); // where the page is closed before it is awaited
      if (live.open) await show(engine, seen, live);
    } catch (error) {
      return live.open && status(say("camera_failed", { reason: error.message }));
    }
    live.rate = 0.9 * live.rate + 0.1 * (1000 / (performance.now() - start));
    by("rate").textContent = live.corners ? say("camera_rate", { rate: Math.round(live.rate) }) : "";
  }
}

/** The next picture, and what the worker sees in it. */
async function look({ card: { preprocess } }, video, live) {
  await newPicture(video, live);
  const picture = still(video, (live.turn = 1 - live.turn)), photo = scaled(picture, PHOTO);
  return { picture, ...(await asked(live.worker, { ...photo, preprocess }, [photo.data.buffer])) };
}

/** Until the camera has given a picture that was not looked at. */
async function newPicture(video, live) {
  const count = () => video.getVideoPlaybackQuality().totalVideoFrames;
  while (!video.videoWidth || count() === live.count) {
    await new Promise((done) => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(done) : requestAnimationFrame(done)));
  }
  live.count = count();
}

function asked(worker, given, moved) {
  return new Promise((resolve, reject) => {
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.onmessage = ({ data }) => (data.failed ? reject(new Error(data.failed)) : resolve(data));
    worker.postMessage(given, moved);
  });
}

/** One picture's reading, drawn over it and said. */
async function show(engine, { picture, ...seen }, live) {
  const { card } = engine, { corners, film } = seen;
  live.corners = corners;
  by("keep").disabled = !corners;
  const reading = film && (await steadyReading(engine, seen, live));
  drawOverlay(by("live"), picture, card, { corners, film, reading });
  by("live").setAttribute("aria-label", corners ? say("camera_found") : say("camera_looking"));
  by("camera-page").classList.toggle("found", Boolean(reading));
  if (!reading) {
    status(say("camera_looking"));
    return by("camera-answer").replaceChildren();
  }
  const why = seen.still ? (reading.steady ? "" : say("camera_unsteady")) : say("camera_still");
  const shown = why ? { ...reading, verdict: "uncertain", held: [] } : reading, words = verdictWords(shown);
  status(say("camera_found_says", { verdict: words }));
  const hint = make("p", "doubt", [why, reading.warnings[0]].filter(Boolean).join(". "));
  by("camera-answer").replaceChildren(make("p", `verdict ${tone(card, shown)}`, words), scale(card, reading), hint);
}

/**
 * The reading of the last few pictures of a film as one.
 * @param seen of `look`, with the film's square @param {{votes: string[]|undefined}} live keeps the verdicts
 * @returns a reading, and whether it is `steady`: most readings before it say so too, but those of too few pictures
 */
export async function steadyReading(engine, seen, live) {
  const { card } = engine, outputs = await engine.run(seen.square);
  const doubts = [...closeDoubts(card, outputs, seen.pictures), ...seen.doubts, ...inputDoubts(seen.film, card)];
  const reading = readingOf(card, outputs, doubts.sort((a, b) => b.refuses - a.refuses)); // the first one is said
  live.votes = [...(seen.pictures > CALMED ? live.votes : []), reading.verdict].slice(-VOTES);
  return { ...reading, steady: live.votes.filter((said) => said === reading.verdict).length >= AGREED * live.votes.length };
}

/** A line that screen readers follow: written only when it changes, or they would never stop. */
function status(words) {
  if (by("camera-state").textContent !== words) by("camera-state").textContent = words;
}

/** The film to keep: from a sharper picture, its corners searched for in that very one. */
function keptFilm(video, corners) {
  const { data, width, height } = scaled(still(video, "kept"), SHARP), photo = { pixels: gray(data), width, height };
  const found = findCorners(photo) ?? corners;
  return { ...rectify(photo, refineCorners(photo, found) ?? found, KEPT), wide: null, facts: {}, photograph: true };
}

const contexts = {};

/** A canvas for that use, of that size, to draw over what is on it. */
function context(use, width, height, options) {
  const pen = contexts[use];
  if (pen?.canvas.width === width && pen.canvas.height === height) return pen;
  return (contexts[use] = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, ...options }));
}

/** The video as it stands: what is drawn over is then the picture that was read, not the one after it. */
function still(video, use) {
  const pen = context(use, video.videoWidth, video.videoHeight);
  pen.drawImage(video, 0, 0);
  return pen.canvas;
}

/** The picture's RGBA, its longer side at most so long. */
function scaled(picture, most) {
  const share = Math.min(1, most / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.round(side * share));
  const pen = context("photo", width, height, { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, width, height);
  return { data: pen.getImageData(0, 0, width, height).data, width, height };
}
