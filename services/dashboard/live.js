// Follows a job while it runs: server-sent events, else polling.
//
// A browser opens at most six connections to one server, for all of its tabs together, and a stream keeps one of them
// open. Therefore the tabs that watch the same job share one stream: the tab that holds the job's lock reads it, and
// tells the others over a BroadcastChannel. No more than MAX_STREAMS jobs are streamed; further ones are polled.

import { useEffect, useState } from "./vendor/htm-preact-standalone.module.js";
import { ApiError, api, send } from "./api.js";

const POLL_MS = 1000;
const SLOW_POLL_MS = 5000; // while another tab streams, in case that it was frozen
const MAX_STREAMS = 3;
const FINAL = ["succeeded", "failed", "cancelled"];

/** Return whether a job with this status has ended. */
export function hasEnded(status) {
  return FINAL.includes(status);
}

/**
 * The hook that returns the newest state of a job.
 * @param {string|null} path such as `/v1/trainings/{id}`; null for no job.
 * @returns {{job: Object|null, error: Error|null, isLive: boolean}} `isLive` is false while the state may be old.
 */
export function useJob(path) {
  const [state, setState] = useState({ path: null, job: null, error: null, isLive: false });
  useEffect(() => {
    if (!path) return undefined;
    const follower = new AbortController();
    const show = (change) => {
      if (!follower.signal.aborted) setState((before) => ({ ...(before.path === path ? before : {}), path, ...change }));
    };
    follow(path, follower.signal, show);
    return () => follower.abort();
  }, [path]);
  return state.path === path ? { job: null, error: null, isLive: false, ...state } : { job: null, error: null, isLive: false };
}

/**
 * Ask for the state of a job until it has ended.
 * @throws {Error} the job did not succeed, or the gateway does not answer.
 */
export async function waitForEnd(path) {
  for (;;) {
    const { status, error } = await api.get(path);
    if (status === "succeeded") return;
    if (hasEnded(status)) throw new Error(error ?? status);
    await sleep(POLL_MS);
  }
}

async function follow(path, signal, show) {
  const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(`tandem:${path}`) : null;
  const seen = { job: null };
  const receive = (job) => {
    seen.job = job;
    show({ job, error: null, isLive: true });
  };
  if (channel) {
    channel.onmessage = ({ data }) => receive(data);
    signal.addEventListener("abort", () => channel.close());
  }
  const publish = (job) => {
    receive(job);
    if (!signal.aborted) channel?.postMessage(job);
  };
  const ended = () => seen.job !== null && hasEnded(seen.job.status);
  try {
    receive(await api.get(path, { signal }));
  } catch (error) {
    if (signal.aborted) return;
    show({ error, isLive: false });
    if (!error.isOffline) return;
  }
  const lead = withSlot(path, signal, (canStream) => readUntilEnd(path, signal, publish, show, ended, canStream));
  // Until this tab gets the lock, the tab that has it sends every state. These polls are only a safeguard.
  while (!ended() && !signal.aborted && !lead.hasBegun) {
    await sleep(SLOW_POLL_MS, signal);
    if (!lead.hasBegun && !ended()) await pollOnce(path, signal, receive, show);
  }
}

/** Run `work` once this tab is the one that reads the job, and tell it whether a connection for a stream is free. */
function withSlot(path, signal, work) {
  const lead = { hasBegun: false };
  const begin = (canStream) => {
    lead.hasBegun = true;
    return work(canStream);
  };
  if (!navigator.locks) { // the page was not loaded from a secure origin
    begin(true);
    return lead;
  }
  navigator.locks
    .request(`tandem:${path}`, { signal }, () => takeStream(0, begin))
    .catch(() => {}); // the view was left while it waited
  return lead;
}

function takeStream(index, begin) {
  if (index === MAX_STREAMS) return begin(false);
  return navigator.locks.request(`tandem-stream-${index}`, { ifAvailable: true }, (lock) =>
    lock ? begin(true) : takeStream(index + 1, begin));
}

async function readUntilEnd(path, signal, publish, show, ended, canStream) {
  let mayStream = canStream;
  while (!ended() && !signal.aborted) {
    if (mayStream) {
      try {
        await readStream(path, signal, publish);
        if (ended() || signal.aborted) return;
      } catch (error) {
        if (signal.aborted) return;
        // A server without this route, or one that has too many streams, refuses: then the state is polled.
        if (error instanceof ApiError && !error.isOffline) mayStream = false;
        else show({ isLive: false });
      }
    }
    await pollOnce(path, signal, publish, show);
    if (!ended()) await sleep(POLL_MS, signal);
  }
}

async function pollOnce(path, signal, receive, show) {
  try {
    receive(await api.get(path, { signal }));
  } catch (error) {
    if (!signal.aborted) show({ error, isLive: false });
  }
}

/** Read server-sent events until the stream ends. Each event's data is the state of the job. */
async function readStream(path, signal, receive) {
  const response = await send(`${path}/events`, { signal, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
      if (data.length) receive(JSON.parse(data.join("\n")));
    }
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
