// The addresses of the views: `/train`, `/draw?model=welcome`, ... Links between them change no document.

import { useEffect, useState } from "./vendor/htm-preact-standalone.module.js";

export const VIEWS = ["train", "search", "draw", "compare", "load", "releases", "code", "models", "data", "queue"];

const listeners = new Set();

/** Go to an address of the page, such as `/compare?model=article-mnist`. */
export function navigate(address, { replace = false } = {}) {
  if (address === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  announce();
}

/** Return an address with a query. Values that are null, undefined or empty are left out. */
export function addressOf(view, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(filled).toString();
  return `/${view}${text && "?"}${text}`;
}

/** The hook that returns the current view's name and its query, and draws again when they change. */
export function useLocation() {
  const [current, setCurrent] = useState(readLocation);
  useEffect(() => {
    const update = () => setCurrent(readLocation());
    listeners.add(update);
    return () => listeners.delete(update);
  }, []);
  return current;
}

function readLocation() {
  const name = location.pathname.slice(1);
  return { view: VIEWS.includes(name) ? name : VIEWS[0], query: Object.fromEntries(new URLSearchParams(location.search)) };
}

function announce() {
  for (const listener of listeners) listener();
}

function followLink(event) {
  const link = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !VIEWS.includes(url.pathname.slice(1)) || url.hash) return;
  event.preventDefault();
  navigate(url.pathname + url.search);
}

/** Begin to follow links and the browser's back button. */
export function startRouter() {
  document.addEventListener("click", followLink);
  addEventListener("popstate", announce);
}
