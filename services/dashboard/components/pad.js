// The area to draw on: with mouse, pen, finger or keyboard. A picture may be put on it instead of a drawing.
//
// The drawing stays when the user visits another view and returns.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

const SIDE = 448; // pixels of the canvas, whatever its size on the screen
const PEN = 0.085 * SIDE; // as wide as MNIST's strokes if the drawing fills the canvas
const STEP = SIDE / 28; // how far an arrow key moves the pen
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STARTING_POINT = [SIDE / 3, SIDE / 4];

// A stroke is a list of points [x, y, width]. `bitmap` is null if this browser cannot show the picture in `file`.
const kept = { strokes: [], file: null, bitmap: null };

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
  const pen = useRef({ at: STARTING_POINT, isDown: false, held: new Set() });
  const pointer = useRef(null);
  const [state, setState] = useState({ isBlank: true, penAt: STARTING_POINT, isPenDown: false });

  const changed = () => {
    const { at, isDown } = pen.current;
    setState({ isBlank: !kept.file && !kept.strokes.length, penAt: at, isPenDown: isDown });
    onChange(describe(canvas.current));
  };
  const repaint = () => {
    paint(canvas.current, isLightOnDark);
    changed();
  };
  useEffect(repaint, [isLightOnDark]);

  const begin = (point) => {
    [kept.file, kept.bitmap] = [null, null];
    kept.strokes.push([point]);
    repaint();
  };
  const extend = (points) => {
    if (!kept.strokes.length) return; // cleared while the pointer was down
    kept.strokes.at(-1).push(...points);
    paintStroke(canvas.current, kept.strokes.at(-1).slice(-points.length - 1), isLightOnDark);
    changed();
  };
  const liftPen = () => { pen.current.isDown = false; };
  const undo = () => {
    liftPen();
    [kept.file, kept.bitmap] = [null, null];
    kept.strokes.pop();
    repaint();
  };
  const clear = () => {
    kept.strokes = [];
    undo();
  };
  const open = async (file) => {
    if (!file) return;
    const bitmap = await createImageBitmap(file).catch(() => null);
    liftPen();
    Object.assign(kept, { strokes: [], file, bitmap });
    repaint();
  };
  useEffect(() => {
    const paste = (event) => open(event.clipboardData.files[0]);
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, [isLightOnDark]);

  const pointerDown = (event) => {
    if (event.button !== 0 || pointer.current) return;
    // The box is kept: a notice that appears above the canvas meanwhile must not bend the stroke.
    pointer.current = { id: event.pointerId, box: canvas.current.getBoundingClientRect() };
    canvas.current.setPointerCapture(event.pointerId);
    liftPen();
    begin(pointOf(event, pointer.current.box));
  };
  const pointerMove = (event) => {
    if (event.pointerId !== pointer.current?.id) return;
    const events = event.getCoalescedEvents?.() ?? [];
    extend((events.length ? events : [event]).map((each) => pointOf(each, pointer.current.box)));
  };
  const pointerUp = (event) => {
    if (event.pointerId === pointer.current?.id) pointer.current = null;
  };

  const keyDown = (event) => {
    const isUndo = event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey));
    if (event.key in MOVES) {
      pen.current.held.add(event.key); // two arrow keys at once move the pen diagonally
      movePen();
    } else if (event.key === " " || event.key === "Enter") {
      if (!event.repeat) togglePen();
    } else if (isUndo) undo();
    else if (event.key === "Delete") clear();
    else return;
    event.preventDefault();
  };
  const movePen = () => {
    const { at, held, isDown } = pen.current;
    const moved = [0, 1].map((axis) => {
      const steps = [...held].reduce((sum, key) => sum + MOVES[key][axis], 0);
      return Math.min(Math.max(at[axis] + STEP * steps, PEN / 2), SIDE - PEN / 2);
    });
    pen.current.at = moved;
    if (isDown) extend([[...moved, PEN]]);
    else setState((before) => ({ ...before, penAt: moved }));
  };
  const togglePen = () => {
    pen.current.isDown = !pen.current.isDown;
    if (pen.current.isDown) begin([...pen.current.at, PEN]);
    else setState((before) => ({ ...before, isPenDown: false }));
  };

  const drop = (event) => {
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  };
  const percent = (value) => `${(100 * value) / SIDE}%`;
  const isUnseen = kept.file && !kept.bitmap;
  return html`
    <div class="pad">
      <div class="pad-surface" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
        <canvas ref=${canvas} width=${SIDE} height=${SIDE} tabindex="0" role="application"
          class=${isLightOnDark || kept.bitmap ? null : "paper"} aria-label=${t("draw.pad")} aria-describedby="pad-keys"
          onPointerDown=${pointerDown} onPointerMove=${pointerMove} onPointerUp=${pointerUp} onPointerCancel=${pointerUp}
          onKeyDown=${keyDown} onKeyUp=${(event) => pen.current.held.delete(event.key)} onBlur=${() => pen.current.held.clear()}></canvas>
        <span class=${`pad-pen ${state.isPenDown ? "down" : ""}`} aria-hidden="true"
          style=${{ left: percent(state.penAt[0]), top: percent(state.penAt[1]) }}></span>
        ${state.isBlank && html`<p class="pad-hint" aria-hidden="true">${t("draw.here")}</p>`}
        ${isUnseen && html`<p class="pad-hint">${t("draw.unseen", { name: kept.file.name })}</p>`}
      </div>
      <div class="row">
        <button type="button" onClick=${undo} disabled=${state.isBlank}>${t("draw.undo")}</button>
        <button type="button" onClick=${clear} disabled=${state.isBlank}>${t("draw.clear")}</button>
        <${FileButton} label=${t("draw.choose")} onFile=${open} />
        <span class="pad-photo"><${FileButton} label=${t("draw.photo")} capture="environment" onFile=${open} /></span>
      </div>
      <p class="field-hint" id="pad-keys">${t("draw.keys")}</p>
      <p class="hidden" role="status">${t(state.isPenDown ? "draw.pen-down" : "draw.pen-up")}</p>
    </div>`;
}

function FileButton({ label, capture, onFile }) {
  const input = useRef(null);
  const choose = ({ target }) => {
    onFile(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  };
  return html`
    <button type="button" onClick=${() => input.current.click()}>${label}</button>
    <input ref=${input} type="file" accept="image/*" capture=${capture} hidden aria-label=${label} onChange=${choose} />`;
}

/** Return what `onChange` gets. */
function describe(canvas) {
  if (!kept.file && !kept.strokes.length) return null;
  const { file, bitmap } = kept;
  return {
    name: file?.name || "drawing.png",
    toBlob: () => (file ? Promise.resolve(file) : new Promise((resolve) => canvas.toBlob(resolve, "image/png"))),
    toImage() {
      if (!file) return canvas.getContext("2d").getImageData(0, 0, SIDE, SIDE);
      if (!bitmap) return null;
      const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
      const small = document.createElement("canvas");
      small.width = Math.max(1, Math.round(bitmap.width * scale));
      small.height = Math.max(1, Math.round(bitmap.height * scale));
      const context = small.getContext("2d");
      context.drawImage(bitmap, 0, 0, small.width, small.height);
      return context.getImageData(0, 0, small.width, small.height);
    },
  };
}

function paint(canvas, isLightOnDark) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = isLightOnDark ? "#000" : "#fff";
  context.fillRect(0, 0, SIDE, SIDE);
  if (kept.bitmap) {
    const { width, height } = kept.bitmap;
    const scale = SIDE / Math.max(width, height);
    context.imageSmoothingEnabled = scale < 1;
    context.drawImage(kept.bitmap, (SIDE - width * scale) / 2, (SIDE - height * scale) / 2, width * scale, height * scale);
  }
  for (const stroke of kept.strokes) paintStroke(canvas, stroke, isLightOnDark);
}

function paintStroke(canvas, points, isLightOnDark) {
  const context = canvas.getContext("2d");
  Object.assign(context, { strokeStyle: isLightOnDark ? "#fff" : "#000", lineCap: "round", lineJoin: "round" });
  points.forEach(([x, y, width], index) => {
    const [fromX, fromY] = points[Math.max(0, index - 1)];
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(x, y); // a line of length 0 has round ends, and so is a dot
    context.stroke();
  });
}

/** Return [x, y, width] in the canvas' pixels. A pen that is pressed harder draws a wider line. */
function pointOf(event, box) {
  const width = event.pointerType === "pen" && event.pressure ? PEN * (0.75 + 0.5 * event.pressure) : PEN;
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE, width];
}
