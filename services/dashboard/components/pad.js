// The area to draw on: with mouse, pen, finger or keyboard. A picture may be put on it instead of a drawing.
//
// The drawing stays when the user visits another view and returns.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

const SIDE = 448; // pixels of the canvas, whatever its size on the screen
const PEN = 0.085 * SIDE; // as wide as MNIST's strokes if the drawing fills the canvas
const DOT = 0.01; // pixels: the length of the line that becomes a dot. Browsers paint nothing for a line of length 0.
const STEP = SIDE / 28; // how far an arrow key moves the pen
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// A stroke is a list of points [x, y]. `bitmap` is null if this browser cannot show the picture in `file`. `at` is where
// the keyboard's pen is, and `isDown` whether it draws.
const kept = { strokes: [], file: null, bitmap: null, at: [SIDE / 3, SIDE / 4], isDown: false };

/**
 * Show the area to draw on, with its buttons.
 * @param {Object} props
 * @param {boolean} props.isLightOnDark whether the pen is light and the paper is dark.
 * @param {function(Drawing|null): void} props.onChange called after each change, and once at the beginning; null is
 *   blank. A Drawing is {name: string, toBlob: function(): Promise<Blob>, toImage: function(): ImageData|null}: the
 *   file to send, and the pixels if this browser can read them.
 */
export function Pad({ isLightOnDark, onChange }) {
  const canvas = useRef(null);
  const [, setRound] = useState(0);
  const change = (changes) => {
    Object.assign(kept, changes);
    const area = paint(canvas.current, isLightOnDark);
    setRound((before) => before + 1);
    onChange(kept.file || kept.strokes.length ? describe(canvas.current, area) : null);
  };
  useEffect(change, [isLightOnDark]);

  const begin = (point, isDown) => change({ strokes: [...kept.strokes, [point]], file: null, bitmap: null, isDown });
  const undo = () => change({ strokes: kept.strokes.slice(0, -1), file: null, bitmap: null, isDown: false });
  const clear = () => change({ strokes: [], file: null, bitmap: null, isDown: false });
  const open = async (file) => {
    if (file) change({ strokes: [], file, bitmap: await createImageBitmap(file).catch(() => null), isDown: false });
  };
  useEffect(() => {
    const paste = (event) => open(event.clipboardData.files[0]);
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, [isLightOnDark]);

  const pointOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.current.getBoundingClientRect();
    return [(clientX - left) / width * SIDE, (clientY - top) / height * SIDE];
  };
  const pointerDown = (event) => {
    if (!event.isPrimary || event.button) return;
    canvas.current.setPointerCapture(event.pointerId);
    begin(pointOf(event), false);
  };
  const pointerMove = (event) => {
    if (!canvas.current.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents?.() ?? [event]; // all places since the last frame
    kept.strokes.at(-1)?.push(...events.map(pointOf));
    change();
  };
  const togglePen = () => (kept.isDown ? change({ isDown: false }) : begin(kept.at, true));
  const keyDown = (event) => {
    const { key } = event;
    if (MOVES[key]) {
      kept.at = kept.at.map((place, axis) => Math.min(Math.max(place + STEP * MOVES[key][axis], PEN / 2), SIDE - PEN / 2));
      if (kept.isDown) kept.strokes.at(-1).push(kept.at);
      change();
    } else if (key === " " || key === "Enter") {
      if (!event.repeat) togglePen();
    } else if (key === "Backspace") undo();
    else if (key === "Delete") clear();
    else return;
    event.preventDefault();
  };
  const [left, top] = kept.at.map((place) => `${100 * place / SIDE}%`);
  const isBlank = !kept.file && !kept.strokes.length;
  return html`
    <div class="pad" onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => {
      event.preventDefault();
      open(event.dataTransfer.files[0]);
    }}>
      <canvas ref=${canvas} width=${SIDE} height=${SIDE} tabindex="0" role="application" aria-label=${t("draw.pad")} aria-describedby="pad-keys"
        class=${isLightOnDark || kept.bitmap ? null : "paper"} onPointerDown=${pointerDown} onPointerMove=${pointerMove} onKeyDown=${keyDown}></canvas>
      <span class=${`pad-pen ${kept.isDown ? "down" : ""}`} style=${{ left, top }}></span>
      ${kept.file && !kept.bitmap && html`<p class="pad-file">${kept.file.name}</p>`}
    </div>
    <div class="row">
      <button type="button" onClick=${undo} disabled=${isBlank}>${t("draw.undo")}</button>
      <button type="button" onClick=${clear} disabled=${isBlank}>${t("draw.clear")}</button>
      <${FileButton} label=${t("draw.choose")} onFile=${open} />
      <${FileButton} label=${t("draw.photo")} onFile=${open} capture="environment" />
    </div>
    <p class="field-hint" id="pad-keys">${t("draw.keys")}</p>
    <p class="hidden" role="status">${t(kept.isDown ? "draw.pen-down" : "draw.pen-up")}</p>`;
}

/** A button to choose a picture; with `capture`, to take a photo where the device has a camera. */
function FileButton({ label, onFile, capture }) {
  const choose = ({ target }) => {
    onFile(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  };
  return html`
    <button type="button" class=${capture && "pad-photo"} onClick=${(event) => event.currentTarget.nextElementSibling.click()}>${label}</button>
    <input type="file" accept="image/*" capture=${capture} hidden onChange=${choose} />`;
}

/** Return what `onChange` gets. `area` is where the canvas shows the drawing or picture. */
function describe(canvas, area) {
  const { file, bitmap } = kept;
  return {
    name: file?.name || "drawing.png",
    toBlob: async () => file ?? new Promise((resolve) => canvas.toBlob(resolve)),
    toImage: () => (file && !bitmap ? null : canvas.getContext("2d").getImageData(...area)),
  };
}

/** Paint what is kept, and return where it is: [left, top, width, height]. A picture fills one side of the canvas. */
function paint(canvas, isLightOnDark) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [ink, paper] = isLightOnDark && !kept.bitmap ? ["#fff", "#000"] : ["#000", "#fff"];
  Object.assign(context, { fillStyle: paper, strokeStyle: ink, lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  context.fillRect(0, 0, SIDE, SIDE);
  let area = [0, 0, SIDE, SIDE];
  if (kept.bitmap) {
    const { width, height } = kept.bitmap;
    const factor = SIDE / Math.max(width, height);
    const sides = [width, height].map((side) => Math.max(1, Math.round(side * factor)));
    area = [...sides.map((side) => Math.floor((SIDE - side) / 2)), ...sides];
    context.imageSmoothingEnabled = factor < 1;
    context.drawImage(kept.bitmap, ...area);
  }
  for (const stroke of kept.strokes) {
    context.beginPath();
    const [left, top] = stroke[0];
    context.moveTo(left - DOT, top);
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
  }
  return area;
}
