// The keyboard, films dropped on the page, and the copy kept for use without a network.

import { say } from "./i18n.js";

const STEP = 0.05;

/** Listen for keys (the text tool_keys lists them); a field, a dialog or a modifier keeps its own. */
export function onKeys({ viewers, view, changed, step, reset, compare, drag, bare }) {
  const [viewer] = viewers;
  const shift = (x, y) => viewer.place(view.zoom, view.x + x, view.y + y);
  const acts = {
    "+": () => viewer.zoomBy(1.25),
    "=": () => viewer.zoomBy(1.25),
    "-": () => viewer.zoomBy(0.8),
    0: reset,
    ArrowLeft: () => shift(STEP, 0),
    ArrowRight: () => shift(-STEP, 0),
    ArrowUp: () => shift(0, STEP),
    ArrowDown: () => shift(0, -STEP),
    m: () => changed((view.map = !view.map)),
    w: () => drag(viewer.drag === "pan" ? "window" : "pan"),
    j: () => step(1),
    k: () => step(-1),
    c: compare,
    b: () => bare(true),
  };
  addEventListener("keyup", ({ key }) => key.toLowerCase() === "b" && bare(false));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const arrow = event.key.startsWith("Arrow");
    if (event.target.matches("input, select, textarea") || (arrow && !event.target.matches(".pane canvas"))) return;
    const act = acts[arrow ? event.key : event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

/** @param {() => boolean} ready whether films can be taken @param {(files: FileList) => void} take */
export function onDrop(ready, take) {
  const over = (on) => (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", on && ready());
  };
  addEventListener("dragover", over(true));
  addEventListener("dragleave", (event) => event.relatedTarget || over(false)(event));
  addEventListener("drop", (event) => {
    over(false)(event);
    if (ready()) take(event.dataTransfer.files);
  });
}

/** Keep this page offline. @param {(text: string) => void} status @param {HTMLButtonElement} button loads a new version */
export async function keepOffline(status, button) {
  const worker = navigator.serviceWorker, known = Boolean(worker?.controller);
  const offer = (next) => {
    if (!worker.controller) return;
    status(say("install_update"));
    button.hidden = false;
    button.onclick = () => next.postMessage("now");
  };
  try {
    const kept = await worker.register("service-worker.js");
    if (kept.waiting) return offer(kept.waiting);
    kept.addEventListener("updatefound", () => {
      const next = kept.installing;
      next.addEventListener("statechange", () => next.state === "installed" && known && offer(next));
    });
    if (known) worker.addEventListener("controllerchange", () => location.reload());
    else status(say("install_waiting"));
    await worker.ready;
    return status(say("install_ready"));
  } catch {
    return status(say("install_impossible")); // no service workers, or none here: TypeError where `worker` is undefined
  }
}
