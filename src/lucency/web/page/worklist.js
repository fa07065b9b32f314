// The films in hand, most urgent first. Pixels are decoded again for each look: memory does not grow with the list.

import { say } from "./i18n.js";
import { urgency } from "./reading.js";
import { make, nameLine, summary, tone } from "./reading_view.js";
import { canvasOf, windowed } from "./viewer.js";

const THUMB = 56;

/** One film: `open()` gives its pixels, now or later. */
export function entry(name, open) {
  return { name, open, reading: null, error: "", thumb: null, done: false };
}

/** Sort in place: what waits comes after what is read, and keeps its order. */
export function sortEntries(entries, card) {
  const rank = (one) => (one.done ? urgency(card, one.reading) : -0.5);
  return entries.sort((a, b) => rank(b) - rank(a));
}

function picture() {
  const canvas = make("canvas");
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

/** A small picture of a film. */
export function thumbnail(film) {
  const canvas = picture();
  canvas.width = canvas.height = 2 * THUMB;
  const pen = canvas.getContext("2d");
  const scale = canvas.width / Math.max(film.width, film.height), [wide, tall] = [film.width * scale, film.height * scale];
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvasOf(windowed(film, 0.5, 1)), (canvas.width - wide) / 2, (canvas.height - tall) / 2, wide, tall);
  return canvas;
}

/** Draw the list anew. `choose` and `remove` take an entry. */
export function drawList(list, entries, current, card, { choose, remove }) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  list.replaceChildren(...entries.map((one, i) => row(one, i, current, card, choose, remove)));
  if (focused) list.querySelector(`[data-key="${focused}"]`)?.focus();
}

function row(one, i, current, card, choose, remove) {
  const kind = one.done ? tone(card, one.reading) : "waiting";
  const lines = [nameLine(one.name), make("span", `said ${kind}`, one.done ? summary(one.reading) : say("worklist_reading"))];
  if (one.error) lines.push(make("span", "error", one.error));
  const small = one.error ? [] : [one.thumb ?? picture()];
  const pick = make("button", "pick", "", make("span", "number", String(i + 1)), ...small, make("span", "lines", "", ...lines));
  Object.assign(pick, { type: "button", title: one.name, onclick: () => choose(one) });
  pick.dataset.key = `pick-${i}`;
  if (one === current) pick.setAttribute("aria-current", "true");
  const drop = Object.assign(make("button", "quiet remove", "×"), { type: "button", onclick: () => remove(one) });
  drop.setAttribute("aria-label", say("worklist_remove", { name: one.name }));
  return make("li", kind, "", pick, drop);
}
