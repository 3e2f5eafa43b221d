// What every page does: acts ask before they are done, and parts that are live are kept so. On a page that is not live a link
// of an act leads to the page that asks: after the act the page is made anew, with what came of it.

import { ask } from "./acts.js";
import { keepLive } from "./live.js";

const part = document.querySelector("[data-live]");
if (part) {
  document.addEventListener("click", (event) => {
    const act = event.target.closest("a[data-act]");
    if (act && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      ask(act);
    }
  });
  keepLive(part);
}
