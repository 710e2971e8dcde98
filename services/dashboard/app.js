// Starts the page: its frame (navigation, language, state of the server) and the current view.

import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { hasToken, onTokenChange, setToken } from "./api.js";
import { AccessForm } from "./components/access.js";
import { titleOf } from "./components/backends.js";
import { Failure, Loading } from "./components/states.js";
import { useResource } from "./resources.js";
import { VIEWS, startRouter, useLocation } from "./router.js";
import { language, onLanguageChange, setLanguage, t } from "./texts.js";

const STATUS_MS = 5000;

function App() {
  const [round, setRound] = useState(0);
  const location = useLocation();
  const status = useResource("/v1/status", { every: STATUS_MS });
  useEffect(() => {
    const drawAgain = () => setRound((before) => before + 1);
    const ends = [onLanguageChange(drawAgain), onTokenChange(() => { drawAgain(); status.reload(); })];
    return () => ends.forEach((end) => end());
  }, []);
  const needsToken = status.error?.status === 401;
  return html`
    <a class="skip" href="#content">${t("frame.skip")}</a>
    <${Header} current=${location.view} />
    <${Notices} status=${status} />
    <main id="content" tabindex="-1">
      ${needsToken
        ? html`<${AccessForm} refusal=${hasToken() ? status.error.message : null} />`
        : html`<${CurrentView} key=${`${round}-${language()}`} ...${location} />`}
    </main>
    <${Footer} version=${status.data?.version} />`;
}

function Header({ current }) {
  return html`
    <header class="frame-header">
      <a class="brand" href="/train"><img src="/page/icon.svg" alt="" width="32" height="32" />
        <span><strong>${t("frame.title")}</strong><small>${t("frame.subtitle")}</small></span></a>
      <nav aria-label=${t("frame.views")}>
        <ul>
          ${VIEWS.map((view) => html`<li key=${view}>
            <a href=${`/${view}`} aria-current=${view === current ? "page" : null}>${t(`view.${view}`)}</a></li>`)}
        </ul>
      </nav>
    </header>`;
}

/** What the user should know about the server whichever view is open. */
function Notices({ status }) {
  const notices = [];
  if (status.error?.isOffline) notices.push(t("frame.offline"));
  else if (status.data) {
    if (status.data.redis === "down") notices.push(t("frame.redis-down"));
    for (const [backend, { predictor }] of Object.entries(status.data.backends)) {
      if (predictor === "down") notices.push(t("frame.backend-down", { backend: titleOf(backend) }));
    }
  }
  return html`<div class="notices" role="status">${notices.map((notice) => html`<p key=${notice}>${notice}</p>`)}</div>`;
}

/** The view of the address. Its module is loaded when it is first shown. */
function CurrentView({ view, query }) {
  const [loaded, setLoaded] = useState({ view: null, View: null, error: null });
  const box = useRef(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${t(`view.${view}`)} – Tandem`;
    let isCurrent = true;
    import(`./views/${view}.js`)
      .then(({ View }) => isCurrent && setLoaded({ view, View, error: null }))
      .catch((error) => isCurrent && setLoaded({ view, View: null, error }));
    return () => { isCurrent = false; };
  }, [view]);
  useEffect(() => {
    if (loaded.view !== view || !loaded.View) return;
    if (!isFirst.current) box.current.querySelector("h1")?.focus(); // so that a screen reader says where the link led
    isFirst.current = false;
  }, [loaded.view, view]);
  if (loaded.view !== view) return html`<${Loading} />`;
  if (loaded.error) return html`<${Failure} error=${{ isOffline: true }} retry=${() => globalThis.location.reload()} />`;
  return html`<div ref=${box} class=${`view view-${view}`}><${loaded.View} query=${query} /></div>`;
}

function Footer({ version }) {
  return html`
    <footer class="frame-footer">
      <span>Tandem ${version ?? ""}</span>
      <a href="/docs">${t("frame.api")}</a>
      <button type="button" class="plain" lang=${language() === "en" ? "zh" : "en"}
        onClick=${() => setLanguage(language() === "en" ? "zh" : "en")}>${t("frame.other-language")}</button>
      ${hasToken() && html`<button type="button" class="plain" onClick=${() => setToken("")}>${t("frame.forget-token")}</button>`}
    </footer>`;
}

startRouter();
render(html`<${App} />`, document.getElementById("app"));
