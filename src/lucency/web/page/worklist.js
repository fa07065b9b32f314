// The films in hand, most urgent first. Pixels are opened again when a film is looked at: memory does not grow with them.

import { make, nameLine, shortly, tone } from "./panel.js";
import { urgency } from "./reading.js";
import { say } from "./say.js";
import { sheetOf, windowed } from "./viewer.js";

const THUMB = 56;

/** One film: `open()` gives its pixels, now or later. */
export function entry(name, open) {
  return { name, open, reading: null, error: "", thumb: null, done: false };
}

/** Sort in place: what waits comes after what is read, and keeps its order. */
export function sorted(entries, card) {
  const rank = (one) => (one.done ? urgency(card, one.reading) : -0.5);
  return entries.sort((a, b) => rank(b) - rank(a));
}

/** A small picture of a film. */
export function thumbnail(film) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 2 * THUMB;
  const pen = canvas.getContext("2d");
  const scale = Math.min(canvas.width / film.width, canvas.height / film.height);
  const [wide, tall] = [film.width * scale, film.height * scale];
  pen.imageSmoothingQuality = "high";
  pen.drawImage(sheetOf(windowed(film, 0.5, 1)), (canvas.width - wide) / 2, (canvas.height - tall) / 2, wide, tall);
  return canvas;
}

/** The list anew. `choose` and `remove` take an entry. */
export function drawList(list, entries, current, card, { choose, remove }) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  list.replaceChildren(...entries.map((one, i) => row(one, i, current, card, choose, remove)));
  if (focused) list.querySelector(`[data-key="${focused}"]`)?.focus();
}

function picture({ thumb }) {
  const canvas = thumb ?? make("canvas");
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

function row(one, i, current, card, choose, remove) {
  const kind = one.done ? tone(card, one.reading) : "waiting";
  const told = one.done ? shortly(one.reading) : say("worklist_reading");
  const lines = [nameLine(one.name), make("span", `said ${kind}`, told)];
  if (one.error) lines.push(make("span", "error", one.error));
  const pick = make("button", "pick", "", ...(one.error ? [] : [picture(one)]), make("span", "lines", "", ...lines));
  Object.assign(pick, { type: "button", title: one.name });
  pick.dataset.key = `pick-${i}`;
  pick.addEventListener("click", () => choose(one));
  if (one === current) pick.setAttribute("aria-current", "true");
  const drop = make("button", "quiet remove", "×");
  drop.type = "button";
  drop.setAttribute("aria-label", say("worklist_remove", { name: one.name }));
  drop.addEventListener("click", () => remove(one));
  return make("li", kind, "", pick, drop);
}
