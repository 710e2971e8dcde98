// The page's texts in English and Chinese, and how numbers, times and durations are written.
//
// The catalogue is the folder texts/: one file per view, which maps each key to its English and its Chinese text. The
// gateway serves all of them as one file.

const LANGUAGES = ["en", "zh"];
const STORED = "tandem.language";

const catalogue = await (await fetch("/page/texts.json")).json();
const listeners = new Set();
let current = initialLanguage();

/**
 * Return the text of a key in the current language.
 * @param {string} key such as `train.start`.
 * @param {Object<string, string|number>} values what to fill in for `{name}` in the text.
 * @returns {string} the text; the key itself if the catalogue has no such text.
 */
export function t(key, values = {}) {
  const text = catalogue[key]?.[LANGUAGES.indexOf(current)] ?? key;
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => values[name] ?? placeholder);
}

/** Return the current language: `en` or `zh`. */
export function language() {
  return current;
}

/** Show the page in another language from now on, also after the next visit. */
export function setLanguage(chosen) {
  current = chosen;
  document.documentElement.lang = chosen;
  try {
    localStorage.setItem(STORED, chosen);
  } catch {
    // A browser may refuse to store anything. The choice then lasts as long as the page.
  }
  for (const listener of listeners) listener();
}

/** Call a function whenever the language changes. Return a function that ends this. */
export function onLanguageChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Write a number with separators between thousands. */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  if (digits && Math.abs(value) >= 1e5) return value.toExponential(2); // the loss of a training that diverges
  return value.toLocaleString(current, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Write a fraction such as 0.9741 as a percentage. */
export function percent(fraction, digits = 2) {
  if (fraction === null || fraction === undefined) return "–";
  return fraction.toLocaleString(current, {
    style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
}

/** Write a duration in seconds for people: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds) {
  if (seconds < 10) return `${number(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Write a number of bytes with a fitting unit. */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${number(count / 1e3, 1)} kB`;
  return count < 1e9 ? `${number(count / 1e6, 1)} MB` : `${number(count / 1e9, 2)} GB`;
}

/** Write a time of the API (ISO 8601) in the user's time zone, without the date if it is today. */
export function time(iso) {
  const moment = new Date(iso);
  const isToday = moment.toDateString() === new Date().toDateString();
  const clock = { hour: "2-digit", minute: "2-digit" };
  return moment.toLocaleString(current, isToday ? clock : { ...clock, month: "short", day: "numeric" });
}

function initialLanguage() {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Nothing can be read: the browser's own language is used.
  }
  const found = LANGUAGES.includes(stored) ? stored : navigator.language.startsWith("zh") ? "zh" : "en";
  document.documentElement.lang = found;
  return found;
}
