// The keyboard: texts.js, tool_keys, tells a person the same.

const STEP = 0.05;

/** Listen; nothing is taken while a field, a dialog or a modifier has the key. */
export function keys({ viewers, view, changed, step, reset, compare, drag }) {
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
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input, select, textarea")) return;
    const arrow = event.key.startsWith("Arrow");
    if (arrow && !event.target.matches(".pane canvas")) return;
    const act = acts[arrow ? event.key : event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
