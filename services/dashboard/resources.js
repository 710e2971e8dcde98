// The hook with which views read from the API.

import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { api } from "./api.js";

/**
 * The hook that reads what a path answers, and again when the path changes or `reload` is called.
 * @param {string|null} path null reads nothing.
 * @param {{every?: number}} options `every`: also read again after so many milliseconds, while the tab is visible.
 * @returns {{data: any, error: Error|null, isLoading: boolean, reload: function(): void}} `data` stays while it is
 *   read again, and while the server does not answer.
 */
export function useResource(path, { every = 0 } = {}) {
  const [state, setState] = useState({ path: null, data: null, error: null });
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const timer = useRef(null);
  useEffect(() => {
    if (!path) return undefined;
    const reading = new AbortController();
    const settle = (change) => {
      if (reading.signal.aborted) return;
      setState((before) => ({ ...(before.path === path ? before : { data: null }), path, ...change }));
      if (every) timer.current = setTimeout(() => whenVisible(reading.signal, reload), every);
    };
    api.get(path, { signal: reading.signal })
      .then((data) => settle({ data, error: null }))
      .catch((error) => settle({ error }));
    return () => {
      reading.abort();
      clearTimeout(timer.current);
    };
  }, [path, round, every]);
  const isCurrent = state.path === path;
  const data = isCurrent ? state.data : null;
  const error = isCurrent ? state.error : null;
  return { data, error, isLoading: Boolean(path) && data === null && error === null, reload };
}

function whenVisible(signal, action) {
  if (!document.hidden) action();
  else document.addEventListener("visibilitychange", action, { once: true, signal });
}
