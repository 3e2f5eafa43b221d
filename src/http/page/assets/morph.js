// Makes one tree of elements like another and leaves equal elements alone, so that focus, selection and scrolling stay.

export function morph(from, to) {
  if (from.isEqualNode(to)) {
    return;
  }
  if (from.nodeName !== to.nodeName || from.id !== to.id) {
    from.replaceWith(to);
  } else if (from.nodeType === Node.ELEMENT_NODE) {
    morphAttributes(from, to);
    morphChildren(from, to);
  } else {
    from.nodeValue = to.nodeValue;
  }
}

function morphAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    // The user opens and closes details.
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) {
      from.removeAttribute(name);
    }
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) {
      from.setAttribute(name, value);
    }
  }
}

function morphChildren(from, to) {
  const wantedIds = new Set([...to.children].map((child) => child.id));
  const named = new Map();
  // Remove first what goes away: then the elements behind it need not move, and moving would lose focus and selection.
  for (const child of [...from.children].filter((child) => child.id)) {
    if (wantedIds.has(child.id)) {
      named.set(child.id, child);
    } else {
      child.remove();
    }
  }
  let next = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const known = wanted.id ? named.get(wanted.id) : undefined;
    // Remove also the elements without an id that were in between.
    while (known && next && next !== known && !next.id) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
    if (known && known !== next) {
      from.insertBefore(known, next);
      next = known;
    }
    if (!next || (wanted.id && !known) || (next.id && next.id !== wanted.id)) {
      from.insertBefore(wanted, next);
      continue;
    }
    const current = next;
    next = next.nextSibling;
    morph(current, wanted);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}
