// Keeps the part of a page with `data-live` as the server would make it now. `data-live` is where the part is had anew,
// `data-stream` the stream of server-sent events that tells when it has changed.

import { morph } from "./morph.js";

// The part is asked for no more often than this.
const PAUSE = 1000;
// Without a word for so long the stream is taken for dead. The daemon says something every 5 s, if only that it is there.
const SILENCE = 15000;
// Until the next attempt after the connection was lost.
const AGAIN = 2000;
// An answer that takes longer is none.
const PATIENCE = 10000;

const clock = (date) => date.toLocaleTimeString([], { hour12: false });

let part = null;
let stream = null;
// When the stream was begun or last said something, and when it last said something.
let heard = 0;
let spoke = 0;
let pending = null;
let asked = 0;
let fresh = new Date();
// Since when there is no answer, and what the daemon said instead of how it stands.
let lost = null;
let refused = null;

export function keepLive(element) {
  part = element;
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : connect()));
  // A page that is gone back to may come from the browser's memory.
  window.addEventListener("pageshow", (event) => event.persisted && connect());
  window.addEventListener("pagehide", rest);
  setInterval(watch, 1000);
  if (!document.hidden) {
    connect();
  }
}

// Has the part anew soon, once for all who ask meanwhile.
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
  // Whether it is there at all, asking it tells.
  stream.addEventListener("error", refresh);
  refresh();
}

function disconnect() {
  stream?.close();
  stream = null;
}

// A hidden page takes none of the few connections that a browser has for one host.
function rest() {
  disconnect();
  clearTimeout(pending);
  pending = null;
  show("rests", "resting");
}

async function fetchPart() {
  asked = Date.now();
  try {
    // A problem comes as JSON to who does not ask for a page.
    const headers = { accept: "*/*" };
    const answer = await fetch(part.dataset.live, { headers, signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 401) {
      // The login ended. The page says how to get another.
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
      refuse(`it is there, and says nothing else for ${PATIENCE / 1000} s`);
    } else {
      lose();
    }
  } finally {
    pending = null;
  }
}

// Why there is no part, in the words of the daemon, or of whoever answers in its place.
async function reason(answer) {
  try {
    const { detail, hint } = await answer.json();
    return [detail ?? `it answered ${answer.status}`, hint].filter(Boolean).join("; ");
  } catch {
    return `it answered ${answer.status}`;
  }
}

// Makes the part like this one. Where what has the focus goes away, the focus is not left nowhere.
function replace(made) {
  const focused = document.activeElement;
  morph(part, made);
  if (focused && focused !== document.body && focused !== document.activeElement) {
    const next = focused.isConnected ? focused : document.getElementById("main");
    next.focus({ preventScroll: true });
  }
}

// Nobody answers.
function lose() {
  lost ??= new Date();
  refused = null;
  tell();
}

// The daemon answers, and cannot tell how it stands.
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
  const told = refused && `docent cannot tell how it stands: ${refused}`;
  const trouble = lost ? `docent has not answered since ${clock(lost)}` : told;
  banner.hidden = !trouble;
  part.classList.toggle("old", Boolean(trouble));
  if (trouble) {
    const text = `${trouble}. What is shown here is from ${clock(fresh)}.`;
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

// Once a second: is the stream there?
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
