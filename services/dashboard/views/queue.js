// The view Queue: what runs and what waits on each trainer, and what has ended.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { BackendName } from "../components/backends.js";
import { EndedJobs } from "../components/ended_jobs.js";
import { QueuePanel } from "../components/queue_panel.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { t } from "../texts.js";

const EVERY_MS = 2000;

/** The view of /queue. It refreshes itself, and announces nothing: a screen reader reads it when it is asked to. */
export function View() {
  const { data, error, reload } = useResource("/v1/status", { every: EVERY_MS });
  return html`
    <h1 tabindex="-1">${t("queue.title")}</h1>
    <p>${t("queue.intro")}</p>
    ${!data ? (error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`)
      : data.redis === "down" ? html`<${Empty} title=${t("queue.redis-down")}><p>${t("queue.redis-down-hint")}</p><//>`
      : html`<${Queues} status=${data} reload=${reload} />`}`;
}

function Queues({ status, reload }) {
  const backends = Object.entries(status.backends);
  const all = [...backends.map(([, queue]) => queue), status.loadtest];
  const running = all.flatMap(({ trainers }) => trainers.map((trainer) => trainer.running?.id)).join();
  return html`
    <div class="queues">
      ${backends.map(([name, queue], place) => html`<${QueuePanel} key=${name} name=${name} queue=${queue} place=${place}
        title=${html`<${BackendName} backend=${name} index=${place} />`} reload=${reload} />`)}
      <${QueuePanel} name="loadtest" queue=${status.loadtest} place=${null} title=${t("queue.load-tests")} reload=${reload} />
    </div>
    <${EndedJobs} round=${running} />`;
}
