// The only module that sends requests to the gateway's API.
//
// If the API requires an access token, the user enters it once per tab. It is kept in the tab's session storage.

const STORED = "tandem.token";
const JSON_TYPE = "application/json";

const listeners = new Set();

/** The gateway refused a request (`status` is its HTTP status), or did not answer (`status` is 0). */
export class ApiError extends Error {
  constructor(status, message, problem = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
  }

  /** Whether no gateway answered. */
  get isOffline() {
    return this.status === 0;
  }

  /** Whether the request needs an access token, or another one. */
  get needsToken() {
    return this.status === 401 || this.status === 403;
  }
}

/** Send every further request with an access token; without one if it is empty. */
export function setToken(token) {
  if (token) sessionStorage.setItem(STORED, token);
  else sessionStorage.removeItem(STORED);
  for (const listener of listeners) listener();
}

/** Return whether the user has entered an access token. */
export function hasToken() {
  return Boolean(sessionStorage.getItem(STORED));
}

/** Call a function whenever the token changes. Return a function that ends this. */
export function onTokenChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Send a request and return the response.
 * @param {string} path begins with `/`.
 * @param {RequestInit} options as `fetch` takes them.
 * @returns {Promise<Response>} a response whose status is 2xx.
 * @throws {ApiError} the gateway refused the request or did not answer.
 */
export async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(STORED);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response) {
  let problem = null;
  try {
    problem = await response.json();
  } catch {
    // A proxy between the page and the gateway may answer with something else.
  }
  return new ApiError(response.status, problem?.detail ?? `${response.status} ${response.statusText}`, problem);
}

async function sendJson(method, path, body) {
  const headers = { "Content-Type": JSON_TYPE };
  const response = await send(path, { method, headers, body: JSON.stringify(body) });
  return readJson(response);
}

async function readJson(response) {
  return response.status === 204 ? null : response.json();
}

/** The API's methods. Each returns the parsed JSON of the response, and throws an ApiError. */
export const api = {
  async get(path, options = {}) {
    return readJson(await send(path, options));
  },
  post(path, body = {}) {
    return sendJson("POST", path, body);
  },
  /** Put JSON, or a Blob as it is. */
  async put(path, body, options = {}) {
    if (!(body instanceof Blob)) return sendJson("PUT", path, body);
    return readJson(await send(path, { method: "PUT", body, ...options }));
  },
  async delete(path) {
    return readJson(await send(path, { method: "DELETE" }));
  },
  /** Post a form, such as pictures for prediction. Return the response, whose headers have timings. */
  form(path, form, options = {}) {
    return send(path, { method: "POST", body: form, ...options });
  },
  async blob(path, options = {}) {
    return (await send(path, options)).blob();
  },
  /** Let the user save what a path answers. A plain link could not send the token. */
  async download(path, filename) {
    const url = URL.createObjectURL(await api.blob(path));
    const link = document.createElement("a");
    link.href = url;
    link.download = filename;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  },
};
