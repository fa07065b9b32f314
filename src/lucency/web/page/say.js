// The page's words by their names: texts.js holds them.

import { TEXTS } from "./texts.js";

/** The text of that name with its {places} filled. Throws where there is none, so that no gap is shown. */
export function say(name, values = {}) {
  const text = TEXTS[name];
  if (text === undefined) throw new Error(`texts.js has no ${name}`);
  return text.replace(/\{(\w+)\}/g, (_, place) => String(values[place] ?? `{${place}}`));
}

/** A label of the bundle as a person reads it: the translated one, or the label itself where texts.js has none. */
export const named = (label) => TEXTS[`label_${label}`] ?? label;

/** Fill what index.html marks: data-say for an element's text, data-say-label for its accessible name. */
export function sayAll(root) {
  root.title = say("title");
  root.documentElement.lang = say("language");
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-say-label]")) {
    element.setAttribute("aria-label", say(element.dataset.sayLabel));
    if (element.tagName === "BUTTON") element.title = say(element.dataset.sayLabel);
  }
}
