// Files dropped anywhere on the page.

/** @param {() => boolean} ready whether films can be taken @param {(files: FileList) => void} take */
export function dropping(ready, take) {
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
