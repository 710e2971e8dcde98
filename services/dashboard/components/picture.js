// A picture that the API returns. An `<img>` could not send the access token, so a request reads it.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { api, hasToken } from "../api.js";
import { t } from "../texts.js";

/**
 * Show a picture.
 * @param {{path: string, alt: string, width?: number, height?: number, isPixelated?: boolean}} props `isPixelated` keeps
 *   the edges of enlarged pixels sharp.
 */
export function Picture({ path, alt, width, height, isPixelated = false }) {
  const source = usePictureSource(path);
  const className = isPixelated ? "picture pixelated" : "picture";
  if (source.error) return html`<span class="picture-failure" role="img" aria-label=${alt}>${source.error.message}</span>`;
  if (!source.url) return html`<span class="picture-loading" role="img" aria-label=${t("state.loading")} style=${{ width, height }}></span>`;
  return html`<img class=${className} src=${source.url} alt=${alt} width=${width} height=${height} />`;
}

function usePictureSource(path) {
  const [source, setSource] = useState({ url: null, error: null });
  useEffect(() => {
    if (!hasToken()) {
      setSource({ url: path, error: null }); // the browser may keep it in its cache
      return undefined;
    }
    const reading = new AbortController();
    let url = null;
    api.blob(path, { signal: reading.signal })
      .then((blob) => {
        if (reading.signal.aborted) return;
        url = URL.createObjectURL(blob);
        setSource({ url, error: null });
      })
      .catch((error) => {
        if (!reading.signal.aborted) setSource({ url: null, error });
      });
    return () => {
      reading.abort();
      if (url) URL.revokeObjectURL(url);
    };
  }, [path]);
  return source;
}
