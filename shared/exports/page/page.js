// What an exported page does: it takes a drawing or a picture, asks the model, and shows the probabilities.
//
// The page is one file that makes no request. Texts of the model, such as the names of its classes, are only ever
// written as text, each in an element that keeps its writing direction to itself.

import { openModel } from "./model.js";
import { preparePicture, showPixels } from "./drawing.js";

const TEXTS = {
  offline: ["Everything happens on this device. Nothing is sent.", "一切都在本机完成，不发送任何数据。"],
  draw: ["Draw one of these, or choose a picture:", "请画出其中之一，或选择图片："],
  choose: ["Choose a picture", "选择图片"],
  photo: ["Take a photo", "拍照"],
  pad: ["Drawing area", "绘图区"],
  keys: ["Keyboard: arrow keys move the pen, Space lowers or lifts it, Backspace undoes, Delete clears.",
    "键盘：方向键移动画笔，空格键落笔或抬笔，退格键撤销，Delete 键清除。"],
  undo: ["Undo", "撤销"],
  clear: ["Clear", "清除"],
  light: ["Light pen on dark paper", "深色纸上的浅色笔"],
  seen: ["What the model saw", "模型看到的图片"],
  bars: ["Probabilities", "概率"],
  class: ["Class", "类别"],
  probability: ["Probability", "概率"],
  blank: ["The picture is blank.", "图片是空白的。"],
  unreadable: ["This browser cannot read the file as a picture.", "此浏览器无法把该文件读作图片。"],
  facts: ["{name}, version {version}, was trained with {backend} on the dataset {dataset}. Accuracy on its test pictures: {accuracy}.",
    "{name} 版本 {version} 由 {backend} 在数据集 {dataset} 上训练，测试图片准确率 {accuracy}。"],
  other: ["中文", "English"],
};
const SIDE = 448; // pixels of the canvas, whatever its size on the screen
const PEN = 0.085 * SIDE; // as wide as MNIST's strokes if the drawing fills the canvas
const DOT = 0.01; // pixels: the length of the line that becomes a dot. Browsers paint nothing for a line of length 0.
const STEP = SIDE / 28; // how far an arrow key moves the pen
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MOST_CLASSES = 20; // that are shown; with more, the most probable ones
const MOST_BORDER = 30; // grey levels: the mean of the border of a picture that is light on dark, as MNIST's are
const QUIET_MS = 700; // after the last change, the answer is read out to users of screen readers

const $ = (id) => document.getElementById(id);
const model = openModel($("model").textContent);
const { classes, network: { input_shape: shape }, prepare } = model;
const canvas = $("pad");
const context = canvas.getContext("2d", { willReadFrequently: true });

// A stroke is a list of points [x, y]. `picture` is a canvas with a chosen picture. `note` is the key of a text.
const state = { strokes: [], picture: null, note: "", at: [SIDE / 3, SIDE / 4], isDown: false };
let language = /^zh/i.test(navigator.language) ? 1 : 0;
let isWaiting = false;
let timer = 0;

// Drawings and pictures ---------------------------------------------------------------------------------------------

/** Change the state, paint it, and ask the model before the next frame is shown. */
function change(changes) {
  Object.assign(state, changes);
  paint();
  if (!isWaiting) requestAnimationFrame(() => { isWaiting = false; answer(); });
  isWaiting = true;
}

function paint() {
  const isPaper = !$("light").checked && !state.picture;
  const [ink, paper] = isPaper ? ["#000", "#fff"] : ["#fff", "#000"];
  canvas.className = isPaper ? "paper" : "";
  Object.assign(context, { fillStyle: paper, strokeStyle: ink, lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  context.fillRect(0, 0, SIDE, SIDE);
  if (state.picture) {
    const { width, height } = state.picture;
    const [wide, tall] = [width, height].map((side) => side * SIDE / Math.max(width, height));
    context.imageSmoothingEnabled = Math.max(width, height) >= SIDE / 2;
    context.drawImage(state.picture, (SIDE - wide) / 2, (SIDE - tall) / 2, wide, tall);
  }
  for (const [first, ...others] of state.strokes) {
    context.beginPath();
    context.moveTo(first[0] - DOT, first[1]);
    for (const point of [first, ...others]) context.lineTo(...point);
    context.stroke();
  }
  const isBlank = !state.picture && !state.strokes.length;
  $("undo").disabled = isBlank;
  $("clear").disabled = isBlank;
  $("pen").className = state.isDown ? "down" : "";
  Object.assign($("pen").style, { left: `${100 * state.at[0] / SIDE}%`, top: `${100 * state.at[1] / SIDE}%` });
}

const begin = (point, isDown) => change({ strokes: [...state.strokes, [point]], picture: null, note: "", isDown });
const undo = () => change({ strokes: state.strokes.slice(0, -1), picture: null, note: "", isDown: false });
const clear = () => change({ strokes: [], picture: null, note: "", isDown: false });

/** Read a picture file. It keeps its size unless it is larger than the canvas; transparent parts become white. */
async function open(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    const factor = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * factor)));
    const picture = Object.assign(document.createElement("canvas"), { width, height });
    const target = picture.getContext("2d", { willReadFrequently: true });
    Object.assign(target, { fillStyle: "#fff", imageSmoothingQuality: "high" });
    target.fillRect(0, 0, width, height);
    target.drawImage(bitmap, 0, 0, width, height);
    change({ strokes: [], picture, note: "", isDown: false });
  } catch {
    change({ strokes: [], picture: null, note: "unreadable", isDown: false });
  }
}

/** Return the model's input, or null if there is nothing on the canvas. */
function preparedPixels() {
  const source = state.picture ?? canvas;
  const { width, height } = source;
  const image = source.getContext("2d").getImageData(0, 0, width, height);
  // A picture of the dataset itself is passed on as it is.
  const isOwnKind = height === shape[0] && width === shape[1] && borderOf(image) <= MOST_BORDER;
  return preparePicture(image, shape, isOwnKind ? "resize" : prepare);
}

/** Return the mean grey level of the outermost pixels. */
function borderOf({ data, width, height }) {
  let [sum, count] = [0, 0];
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (x && y && x < width - 1 && y < height - 1) continue;
    sum += (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3;
    count += 1;
  }
  return sum / count;
}

// Answers -----------------------------------------------------------------------------------------------------------

/** Ask the model what the canvas shows, and show the answer. */
function answer() {
  const isEmpty = !state.picture && !state.strokes.length;
  const pixels = isEmpty ? null : preparedPixels();
  const probabilities = pixels && model.predict(pixels);
  const best = probabilities?.indexOf(Math.max(...probabilities));
  const note = state.note || (!isEmpty && !pixels ? "blank" : "");
  $("answer").hidden = !pixels;
  $("empty").hidden = !isEmpty;
  $("note").textContent = note && t(note);
  if (pixels) {
    showPixels($("seen"), pixels, shape);
    $("class").textContent = classes[best];
    $("class").className = classes[best].length > 6 ? "long" : "";
    $("rows").replaceChildren(...choose(probabilities).map((label) => row(label, probabilities[label])));
  }
  clearTimeout(timer);
  timer = setTimeout(() => { $("spoken").textContent = pixels ? classes[best] : ""; }, QUIET_MS);
}

/** Return the classes to show: all of them in their order, or the most probable ones. */
function choose(probabilities) {
  const labels = [...probabilities.keys()];
  if (labels.length <= MOST_CLASSES) return labels;
  return labels.sort((one, other) => probabilities[other] - probabilities[one]).slice(0, MOST_CLASSES);
}

/** Return a row of the table: a class, its probability and a bar. */
function row(label, probability) {
  const title = element("th", element("bdi", classes[label]));
  title.scope = "row";
  const bar = element("div");
  bar.style.width = `${100 * probability}%`;
  return element("tr", title, element("td", percent(probability), bar));
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

// Texts -------------------------------------------------------------------------------------------------------------

/** Return a text in the chosen language. `{name}` in it becomes the member `name` of the facts. */
function t(key, facts = {}) {
  return TEXTS[key][language].replaceAll(/\{(\w+)\}/g, (_, name) => facts[name]);
}

function percent(share) {
  return `${(100 * share).toFixed(2)} %`;
}

/** Write all texts in the chosen language. */
function translate() {
  document.documentElement.lang = ["en", "zh-Hans"][language];
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = t(place.dataset.text);
  for (const place of document.querySelectorAll("[data-label]")) place.ariaLabel = t(place.dataset.label);
  $("facts").textContent = t("facts", { ...model, accuracy: percent(model.accuracy) });
  $("language").lang = ["zh-Hans", "en"][language];
  change({});
}

// The events --------------------------------------------------------------------------------------------------------

const pointOf = ({ clientX, clientY }) => {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return [(clientX - left) / width * SIDE, (clientY - top) / height * SIDE];
};
canvas.onpointerdown = (event) => {
  if (!event.isPrimary || event.button) return;
  canvas.setPointerCapture(event.pointerId);
  begin(pointOf(event), false);
};
canvas.onpointermove = (event) => {
  if (!canvas.hasPointerCapture(event.pointerId) || !state.strokes.length) return;
  const events = event.getCoalescedEvents?.() ?? [];
  state.strokes.at(-1).push(...(events.length ? events : [event]).map(pointOf));
  change({});
};
canvas.onkeydown = (event) => {
  const { key } = event;
  if (MOVES[key]) {
    const at = state.at.map((place, i) => Math.min(Math.max(place + STEP * MOVES[key][i], PEN / 2), SIDE - PEN / 2));
    if (state.isDown) state.strokes.at(-1).push(at);
    change({ at });
  } else if (key === " " || key === "Enter") {
    if (event.repeat) return;
    if (state.isDown) change({ isDown: false });
    else begin(state.at, true);
  } else if (key === "Backspace") undo();
  else if (key === "Delete") clear();
  else return;
  event.preventDefault();
};
$("undo").onclick = undo;
$("clear").onclick = clear;
$("light").onchange = () => change({});
for (const input of document.querySelectorAll("input[type=file]")) {
  input.previousElementSibling.onclick = () => input.click();
  input.onchange = () => {
    open(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  };
}
addEventListener("paste", (event) => open(event.clipboardData.files[0]));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  open(event.dataTransfer.files[0]);
});
$("language").onclick = () => {
  language = 1 - language;
  translate();
};

$("classes").replaceChildren(...classes.slice(0, MOST_CLASSES).map((name) => element("li", element("bdi", name))));
if (prepare !== "ink") {
  $("light").checked = true;
  $("light").parentElement.hidden = false;
  $("paper").before($("pictures"));
}
translate();
