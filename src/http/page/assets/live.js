// Keeps the part of a page with `data-live` up to date. `data-live` is the address that returns the part, `data-stream` the stream of
// server-sent events that says when the part has changed.

import { morph } from "./morph.js";

// The part is fetched no more often than this.
const PAUSE = 1000;
// After this long without an event the stream counts as dead. The daemon sends something every 5 s, if only that it is running.
const SILENCE = 15000;
// How long to wait before connecting again after the connection was lost.
const AGAIN = 2000;
// An answer that takes longer is not waited for.
const PATIENCE = 10000;

const clock = (date) => date.toLocaleTimeString([], { hour12: false });

let part = null;
let stream = null;
// `heard`: when the stream was begun or last sent something. `spoke`: when it last sent something.
let heard = 0;
let spoke = 0;
let pending = null;
let asked = 0;
let fresh = new Date();
// `lost`: since when there is no answer. `refused`: why the daemon answered without its state.
let lost = null;
let refused = null;

export function keepLive(element) {
  part = element;
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : connect()));
  // When the user goes back to a page, it may come from the browser's memory.
  window.addEventListener("pageshow", (event) => event.persisted && connect());
  window.addEventListener("pagehide", rest);
  setInterval(watch, 1000);
  if (!document.hidden) {
    connect();
  }
}

// Fetches the part soon; calls before that share one fetch.
export function refresh() {
  if (part && !pending && !document.hidden) {
    const wait = Math.max(0, asked + PAUSE - Date.now());
    pending = setTimeout(fetchPart, wait);
  }
}

function connect() {
  disconnect();
  heard = Date.now();
  stream = new EventSource(part.dataset.stream);
  const hear = () => {
    heard = spoke = Date.now();
    refresh();
  };
  stream.addEventListener("open", hear);
  stream.addEventListener("alive", hear);
  stream.addEventListener("history", hear);
  stream.addEventListener("overview", hear);
  stream.addEventListener("problem", hear);
  stream.addEventListener("end", refresh);
  // A fetch shows whether the daemon answers at all.
  stream.addEventListener("error", refresh);
  refresh();
}

function disconnect() {
  stream?.close();
  stream = null;
}

// A hidden page uses none of the few connections that a browser allows for one host.
function rest() {
  disconnect();
  clearTimeout(pending);
  pending = null;
  show("rests", "paused");
}

async function fetchPart() {
  asked = Date.now();
  try {
    // Problems come as JSON unless the request asks for a page.
    const headers = { accept: "*/*" };
    const answer = await fetch(part.dataset.live, { headers, signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 401) {
      // The session ended. The page says how to log in again.
      location.reload();
      return;
    }
    if (!answer.ok) {
      refuse(await reason(answer));
      return;
    }
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    replace(made.content.firstElementChild);
    fresh = new Date();
    find();
  } catch (error) {
    if (error.name === "TimeoutError" && Date.now() - spoke < SILENCE) {
      refuse(`it is running, but did not answer within ${PATIENCE / 1000} s`);
    } else {
      lose();
    }
  } finally {
    pending = null;
  }
}

// Why there is no part, in the words of the daemon or of a proxy in front of it.
async function reason(answer) {
  try {
    const { detail, hint } = await answer.json();
    return [detail ?? `it answered ${answer.status}`, hint].filter(Boolean).join("; ");
  } catch {
    return `it answered ${answer.status}`;
  }
}

// Makes the part like `made`. If the focused element goes away, another one gets the focus.
function replace(made) {
  const focused = document.activeElement;
  morph(part, made);
  if (focused && focused !== document.body && focused !== document.activeElement) {
    const next = focused.isConnected ? focused : document.getElementById("main");
    next.focus({ preventScroll: true });
  }
}

// The daemon does not answer.
function lose() {
  lost ??= new Date();
  refused = null;
  tell();
}

// The daemon answers, but cannot report its state.
function refuse(why) {
  lost = null;
  refused = why;
  tell();
}

function find() {
  lost = null;
  refused = null;
  tell();
}

function tell() {
  const banner = document.getElementById("lost");
  const told = refused && `docent cannot report its state: ${refused}`;
  const trouble = lost ? `docent has not answered since ${clock(lost)}` : told;
  banner.hidden = !trouble;
  part.classList.toggle("old", Boolean(trouble));
  if (trouble) {
    const text = `${trouble}. This page shows its state at ${clock(fresh)}.`;
    if (banner.textContent !== text) {
      banner.textContent = text;
    }
    show("lost", lost ? "not connected" : "not known");
  } else {
    show("", `live, ${clock(fresh)}`);
  }
}

function show(kind, text) {
  const live = document.getElementById("live");
  live.hidden = false;
  live.className = `live ${kind}`;
  live.textContent = text;
}

// Runs once a second: connects again if the stream is dead.
function watch() {
  if (document.hidden || !stream) {
    return;
  }
  const silent = Date.now() - heard;
  if (silent > SILENCE || (stream.readyState === EventSource.CLOSED && silent > AGAIN)) {
    connect();
  } else if (lost || refused) {
    refresh();
  }
}
