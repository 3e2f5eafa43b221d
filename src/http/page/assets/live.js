// Keeps the part of a page with `data-live` as the server would make it now. `data-live` is where the part is had anew,
// `data-stream` the stream of server-sent events that tells when it has changed.

import { morph } from "./morph.js";

// The part is asked for no more often than this.
const PAUSE = 1000;
// Without a word for so long the stream is taken for dead. The daemon says something every 5 s.
const SILENCE = 15000;
// Until the next attempt after the connection was lost.
const AGAIN = 2000;

const clock = (date) => date.toLocaleTimeString([], { hour12: false });

let part = null;
let stream = null;
let heard = 0;
let pending = null;
let asked = 0;
let fresh = new Date();
let lost = null;

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
    heard = Date.now();
    refresh();
  };
  stream.addEventListener("open", hear);
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
    const answer = await fetch(part.dataset.live, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (answer.status === 401) {
      // The login ended. The page says how to get another.
      location.reload();
      return;
    }
    if (!answer.ok) {
      throw new Error(`the daemon answered ${answer.status}`);
    }
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    morph(part, made.content.firstElementChild);
    fresh = new Date();
    find();
  } catch {
    lose();
  } finally {
    pending = null;
  }
}

function lose() {
  lost ??= new Date();
  tell();
}

function find() {
  lost = null;
  tell();
}

function tell() {
  const banner = document.getElementById("lost");
  banner.hidden = !lost;
  part.classList.toggle("old", Boolean(lost));
  if (lost) {
    const text = `docent has not answered since ${clock(lost)}. What is shown here is from ${clock(fresh)}.`;
    if (banner.textContent !== text) {
      banner.textContent = text;
    }
    show("lost", "not connected");
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
  } else if (lost) {
    refresh();
  }
}
