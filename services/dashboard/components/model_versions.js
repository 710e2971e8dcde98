// The versions of a model, which may differ between backends.

/** Return the version numbers of all backends, newest first; `versions` is that of GET /v1/models. */
export function versionsOf(versions) {
  return [...new Set(Object.values(versions).flat())].sort((one, other) => other - one);
}
