// The view Code: every backend's backend.py, section by section. The server aligns and highlights the lines, so this
// view only draws them: side by side where the window is wide enough, else one backend at a time.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { BackendName } from "../components/backends.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { number, t } from "../texts.js";

const REM_PER_FILE = 36; // 79 characters in the smallest size that a projector shows well
const ALL = "all";

/** The view of /code. A part of the address after `#` names a section. */
export function View() {
  const code = useResource("/v1/code");
  useEffect(() => {
    if (code.data && location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  }, [code.data]);
  return html`
    <h1 tabindex="-1">${t("code.title")}</h1>
    <p>${t("code.intro")}</p>
    ${code.isLoading && html`<${Loading} />`}
    ${code.error && !code.data && html`<${Failure} error=${code.error} retry=${code.reload} />`}
    ${code.data && html`<${Listing} code=${code.data} />`}`;
}

function Listing({ code }) {
  const [chosen, setChosen] = useState(ALL);
  const backends = Object.keys(code.files);
  const readable = backends.filter((backend) => code.files[backend].error === null);
  const isWide = useWideWindow(readable.length);
  const one = readable.includes(chosen) ? chosen : readable[0];
  const shown = isWide && chosen === ALL ? readable : readable.filter((backend) => backend === one);
  const choices = isWide && readable.length > 1 ? [ALL, ...readable] : readable;
  return html`
    ${backends.filter((backend) => code.files[backend].error).map((backend) => html`
      <p key=${backend} class="soft">${code.files[backend].error}</p>`)}
    ${readable.length === 0 && html`<${Empty} title=${t("code.empty")} />`}
    <div class="code-listing" style=${{ "--files": shown.length }}>
      <div class="code-bar">
        <nav aria-label=${t("code.contents")}>
          <ol>${code.sections.map((section) => html`<li key=${section.title}>
            <a href=${`#${idOf(section)}`}>${titleOfSection(section)}</a>
            <span class="soft" title=${t("code.differences", { count: countTwins(section) })}>${" "}${countTwins(section) || ""}</span></li>`)}</ol>
        </nav>
        ${choices.length > 1 && html`
          <fieldset class="choices code-choices">
            <legend class="hidden">${t("code.show")}</legend>
            ${choices.map((choice) => html`<label key=${choice}>
              <input type="radio" name="code-shown" checked=${choice === (shown.length > 1 ? ALL : one)} onChange=${() => setChosen(choice)} />
              ${choice === ALL ? t("code.side-by-side") : html`<${BackendName} backend=${choice} index=${backends.indexOf(choice)} />`}</label>`)}
          </fieldset>`}
      </div>
      <div class="code-sections">
        ${code.sections.map((section) => html`<${Section} key=${section.title} section=${section} files=${code.files} shown=${shown} />`)}
      </div>
    </div>`;
}

/** One section as a table: a column per backend, a row per line. */
function Section({ section, files, shown }) {
  const backends = Object.keys(files);
  const rows = section.rows.filter((row) => shown.some((backend) => row.lines[backend]));
  if (rows.length === 0) return null;
  return html`
    <section aria-labelledby=${idOf(section)}>
      <h2 id=${idOf(section)}>${titleOfSection(section)}</h2>
      <table class="code-table">
        <caption class="hidden">${t("code.caption", { section: titleOfSection(section) })}</caption>
        <thead><tr>${shown.map((backend) => html`<th key=${backend} scope="col">
          <${BackendName} backend=${backend} index=${backends.indexOf(backend)} />
          <small>${" "}${files[backend].path}</small></th>`)}</tr></thead>
        <tbody>
          ${rows.map((row, index) => html`<tr key=${index} class=${row.is_twin ? "twin" : null}>
            ${shown.map((backend) => html`<${Line} key=${backend} line=${row.lines[backend]} />`)}</tr>`)}
        </tbody>
      </table>
    </section>`;
}

function Line({ line }) {
  if (!line) return html`<td class="code-gap"></td>`;
  return html`<td data-number=${number(line.number)}><code>${line.tokens.map(([kind, text]) =>
    kind ? html`<span class=${`token-${kind}`}>${text}</span>` : text)}</code></td>`;
}

/** The hook that tells whether so many files fit beside each other. */
function useWideWindow(files) {
  const condition = `(min-width: ${files * REM_PER_FILE}rem)`;
  const [isWide, setWide] = useState(() => matchMedia(condition).matches);
  useEffect(() => {
    const query = matchMedia(condition);
    const update = () => setWide(query.matches);
    update();
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, [condition]);
  return isWide;
}

/** Return an id from the title, such as `section-load-the-data`. */
function idOf(section) {
  return `section-${section.title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
}

/** The titles are English, as in the files. The catalogue has translations of those that Tandem's own files use. */
function titleOfSection(section) {
  const key = `code.${idOf(section)}`;
  const text = t(key);
  return text === key ? section.title : text;
}

/** Return how many differences a section explains: blocks of rows that follow each other and are marked. */
function countTwins({ rows }) {
  return rows.filter((row, index) => row.is_twin && !rows[index - 1]?.is_twin).length;
}
