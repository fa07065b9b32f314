// Keeps this page for use without a network, and tells when a new version waits.

import { say } from "./say.js";

/** @param {(text: string) => void} tell @param {HTMLButtonElement} button loads a new version */
export async function keepOffline(tell, button) {
  if (!("serviceWorker" in navigator)) return tell(say("install_impossible"));
  const known = navigator.serviceWorker.controller !== null;
  try {
    const kept = await navigator.serviceWorker.register("service-worker.js");
    const offer = (worker) => {
      if (!navigator.serviceWorker.controller) return;
      tell(say("install_update"));
      button.hidden = false;
      button.onclick = () => worker.postMessage("now");
    };
    if (kept.waiting) return offer(kept.waiting);
    kept.addEventListener("updatefound", () => {
      const worker = kept.installing;
      worker.addEventListener("statechange", () => worker.state === "installed" && known && offer(worker));
    });
    if (known) navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
    if (!known) tell(say("install_waiting"));
    await navigator.serviceWorker.ready;
    return tell(say("install_ready"));
  } catch {
    return tell(say("install_impossible"));
  }
}
