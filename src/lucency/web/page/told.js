// A reading on the page: the panel beside the film and the caption under it.

import { labels, make, nameLine, percentWords, reasons, scale, shortly, tone, verdictWords } from "./panel.js";
import { named, say } from "./say.js";

export const by = (id) => document.getElementById(id);

/** The line under a film, and what a screen reader says of the film. `one`: the worklist's entry, or null. */
export function caption(pane, one, card) {
  const { reading, name } = one ?? {};
  const said = one?.done ? shortly(reading) : "";
  pane.querySelector("figcaption").replaceChildren(
    nameLine(name ?? say("tool_compare_pick")), make("span", `said ${tone(card, reading)}`, said),
  );
  const words = one ? say("viewer_words", { name, decided: reading ? decided(reading) : verdictWords(null) }) : say("viewer_empty");
  pane.querySelector("canvas").setAttribute("aria-label", words);
}

function decided(reading) {
  const words = { percent: percentWords(reading.probability), finding: named(reading.finding) };
  return say("decided", { verdict: verdictWords(reading), ...words });
}

/** The panel, on an entry of the worklist or on none: its reading, or why there is none. */
export function told(card, one) {
  by("which").textContent = one?.name ?? "";
  by("none").textContent = one ? say("worklist_reading") : say("reading_none");
  by("none").hidden = Boolean(one?.done);
  by("unread").hidden = !one?.error;
  by("why").textContent = one?.error ?? "";
  by("answer").hidden = !one?.reading;
  for (const id of ["save", "print"]) by(id).disabled = !one?.reading;
  if (one?.reading) answer(card, one);
}

/** Verdict, scale, reasons to doubt, and the legend of the map. */
function answer(card, { reading, took }) {
  const finding = named(reading.finding);
  if (by("verdict").textContent !== verdictWords(reading)) by("verdict").textContent = verdictWords(reading);
  by("verdict").className = tone(card, reading);
  by("scale").replaceChildren(scale(card, reading));
  by("labels").replaceChildren(...labels(card, reading));
  by("reasons").replaceChildren(...reasons(reading));
  by("took").textContent = say("took", { ms: Math.round(took) });
  by("legend").setAttribute("aria-label", say("legend_words", { finding }));
  by("legend-against").textContent = `${say("legend_against")} ${finding}`;
  by("legend-for").textContent = `${say("legend_for")} ${finding}`;
}
