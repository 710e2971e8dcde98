// A picture of a dataset with its class, and strips and pages of such pictures.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { send } from "../api.js";
import { t } from "../texts.js";

const LABEL = "X-Label"; // the header of a picture's response that holds the index of its class

/**
 * Show one picture of a dataset, and its class below it if `hasCaption`.
 * @param {{dataset: Object, split: string, index: number, hasCaption?: boolean}} props `dataset` as GET /v1/datasets
 *   describes it.
 */
export function LabelledPicture({ dataset, split, index, hasCaption = false }) {
  const { url, label, error } = usePicture(`/v1/datasets/${dataset.name}/pictures/${split}/${index}.png`);
  const title = label === null ? null : dataset.classes[label];
  const alt = title ?? t("data.picture", { index });
  const picture = url ? html`<img class="pixelated" src=${url} alt=${alt} />`
    : html`<span class="picture-loading" role="img" aria-label=${error ? error.message : t("data.picture", { index })}></span>`;
  return hasCaption ? html`<figure>${picture}<figcaption>${error ? "✕" : title ?? " "}</figcaption></figure>` : picture;
}

function usePicture(path) {
  const empty = { url: null, label: null, error: null };
  const [picture, setPicture] = useState(empty);
  useEffect(() => {
    const reading = new AbortController();
    let url = null;
    const read = async () => {
      const response = await send(path, { signal: reading.signal });
      const label = response.headers.get(LABEL);
      const blob = await response.blob();
      if (reading.signal.aborted) return;
      url = URL.createObjectURL(blob);
      setPicture({ url, label: label === null ? null : Number(label), error: null });
    };
    read().catch((error) => !reading.signal.aborted && setPicture({ ...empty, error }));
    return () => {
      reading.abort();
      if (url) URL.revokeObjectURL(url);
    };
  }, [path]);
  return picture;
}
