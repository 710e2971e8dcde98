// The view Code: every backend's backend.py, section by section. The server aligns and highlights the lines, so this
// view only draws them: side by side where the window is wide enough, else one backend at a time.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { BackendName } from "../components/backends.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { t } from "../texts.js";

/** The view of /code. A part of the address after `#` names a section. */
export function View() {
  const { data, error, reload } = useResource("/v1/code");
  useEffect(() => document.getElementById(location.hash.slice(1))?.scrollIntoView(), [data]);
  return html`
    <h1 tabindex="-1">${t("code.title")}</h1>
    <p>${t("code.intro")}</p>
    ${data ? html`<${Listing} ...${data} />` : error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`}`;
}

function Listing({ sections, files }) {
  const backends = Object.keys(files);
  const readable = backends.filter((backend) => !files[backend].error);
  const [chosen, setChosen] = useState(readable[0]);
  const name = (backend) => html`<${BackendName} backend=${backend} index=${backends.indexOf(backend)} />`;
  const otherClass = (backend) => (backend === chosen ? null : "code-other"); // not shown on a narrow window
  if (!readable.length) return html`<${Empty} title=${t("list.none-yet")} />`;
  return html`
    ${backends.map((backend) => files[backend].error && html`<p class="soft">${files[backend].error}</p>`)}
    <div class="code-listing" style=${{ "--files": readable.length }}>
      <div class="code-bar row">
        <nav class="row" aria-label=${t("code.contents")}>
          ${sections.map(({ title }) => html`<a href=${`#${idOf(title)}`}>${translate(title)}</a>`)}
        </nav>
        <fieldset class="choices"><legend class="hidden">${t("models.backend")}</legend>
          ${readable.map((backend) => html`<label><input type="radio" name="shown" checked=${backend === chosen}
            onChange=${() => setChosen(backend)} />${name(backend)}</label>`)}</fieldset>
      </div>
      ${sections.map(({ title, rows }) => html`
        <h2 id=${idOf(title)}>${translate(title)}</h2>
        <table aria-labelledby=${idOf(title)}>
          <thead><tr>${readable.map((backend) => html`<th scope="col" class=${otherClass(backend)}>
            ${name(backend)} <small>${files[backend].path}</small></th>`)}</tr></thead>
          <tbody>${rows.map(({ lines, is_twin: isTwin }) => html`<tr class=${isTwin ? "twin" : null}>
            ${readable.map((backend) => html`<td class=${otherClass(backend)} data-number=${lines[backend]?.number}>
              <code>${lines[backend]?.tokens.map(([kind, text]) => (kind ? html`<span class=${`token-${kind}`}>${text}</span>` : text))}</code></td>`)}
          </tr>`)}</tbody>
        </table>`)}
    </div>`;
}

/** Return an id from a section's title, such as `section-load-the-data`. */
function idOf(title) {
  return `section-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
}

/** The titles are English, as in the files. The catalogue has translations of those that Tandem's own files use. */
function translate(title) {
  const key = `code.${idOf(title)}`;
  const text = t(key);
  return text === key ? title : text;
}
