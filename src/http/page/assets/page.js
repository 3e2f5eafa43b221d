// What every page does: acts ask before they are done, and parts that are live are kept so.

import { ask } from "./acts.js";
import { keepLive } from "./live.js";

document.addEventListener("click", (event) => {
  const act = event.target.closest("a[data-act]");
  if (act && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    ask(act);
  }
});

const part = document.querySelector("[data-live]");
if (part) {
  keepLive(part);
}
