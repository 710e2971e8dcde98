// Pictures that the API returns. An `<img>` could not send the access token, so a request reads them.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { send } from "../api.js";
import { t } from "../texts.js";

const LABEL = "X-Label"; // the header of a dataset's picture that holds the index of its class

/**
 * Show a picture.
 * @param {{path: string, alt: string, width?: number, height?: number, isPixelated?: boolean}} props `isPixelated` keeps
 *   the edges of enlarged pixels sharp.
 */
export function Picture({ path, alt, width, height, isPixelated = false }) {
  const { url, error } = usePicture(path);
  const className = isPixelated ? "picture pixelated" : "picture";
  if (error) return html`<span class="picture-failure" role="img" aria-label=${alt}>${error.message}</span>`;
  if (!url) return html`<span class="picture-loading" role="img" aria-label=${t("state.loading")} style=${{ width, height }}></span>`;
  return html`<img class=${className} src=${url} alt=${alt} width=${width} height=${height} />`;
}

/**
 * Show one picture of a dataset, and its class below it if `hasCaption`.
 * @param {{dataset: Object, split: string, index: number, hasCaption?: boolean}} props `dataset` as GET /v1/datasets
 *   describes it.
 */
export function LabelledPicture({ dataset, split, index, hasCaption = false }) {
  const { url, label, error } = usePicture(`/v1/datasets/${dataset.name}/pictures/${split}/${index}.png`);
  const title = dataset.classes[label];
  const alt = error?.message ?? title ?? t("data.picture", { index });
  const picture = url ? html`<img class="pixelated" src=${url} alt=${alt} />` : html`<span class="picture-loading" role="img" aria-label=${alt}></span>`;
  return hasCaption ? html`<figure>${picture}<figcaption>${error ? "✕" : title ?? " "}</figcaption></figure>` : picture;
}

/** The hook that reads a picture. `label` is the index of its class, if it belongs to a dataset. */
function usePicture(path) {
  const [picture, setPicture] = useState({});
  useEffect(() => {
    const reading = new AbortController();
    let url = null;
    const read = async () => {
      const response = await send(path, { signal: reading.signal });
      const blob = await response.blob();
      if (reading.signal.aborted) return;
      url = URL.createObjectURL(blob);
      setPicture({ url, label: response.headers.get(LABEL) });
    };
    read().catch((error) => !reading.signal.aborted && setPicture({ error }));
    return () => {
      reading.abort();
      URL.revokeObjectURL(url);
    };
  }, [path]);
  return picture;
}
