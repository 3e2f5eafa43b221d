// Runs on every page: actions ask for confirmation, and the live part is kept up to date. On a page without a live part, the link of
// an action leads to a page that asks; after the action the page is loaded again and shows the result.

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
