// What the browser does with a drawing while no server prepares it, and how pixels become a picture and back.
//
// While the server answers, the browser's forward pass gets the very pixels that the server's models saw (`readPng`).
// When the server is gone, `preparePicture` does what shared/data/ink.py and drawing.py do to a clean drawing: cut out
// the ink, scale it into a box of 20 x 20, and place its centre of mass in the middle of 28 x 28 (LeCun et al. 1998).
// It does not look for the drawing in a photograph: it expects one drawing on even paper.

const BOX_SHARE = 20 / 28; // of the grid's side
const MIN_CONTRAST = 16; // grey levels: with less, the picture is blank
const INK_LEVEL = 0.5; // of full ink: darker pixels decide where the drawing begins and ends

/**
 * Return a picture as a model takes it.
 *
 * @param {ImageData} image any size.
 * @param {number[]} shape [height, width, channels] of the model's input; 1 channel is grey, 3 are RGB.
 * @param {string} prepare `ink` cuts out what is drawn, dark on light or light on dark; `resize` only scales.
 * @returns {Uint8Array|null} row-major; null if the picture is blank.
 */
export function preparePicture(image, [height, width, channels], prepare) {
  const grey = greyOf(image);
  const levels = grey.values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [255, 0]);
  if (levels[1] - levels[0] < MIN_CONTRAST) return null;
  const planes = [];
  if (prepare === "ink") {
    planes.push(placeInk(inkOf(grey, levels), height, width));
  } else if (channels === 1) {
    planes.push(resize(grey, height, width));
  } else {
    for (let c = 0; c < channels; c++) planes.push(resize(planeOf(image, c), height, width));
  }
  return Uint8Array.from({ length: height * width * channels }, (_, i) =>
    Math.round(planes[i % channels % planes.length].values[Math.floor(i / channels)]));
}

/** Return how much ink each pixel has, from 0 to 1, within the box around the ink. The border shows the paper. */
function inkOf({ values, rows, columns }, [darkest, brightest]) {
  let sum = 0;
  for (let x = 0; x < columns; x++) sum += values[x] + values[values.length - 1 - x];
  for (let y = 0; y < rows; y++) sum += values[y * columns] + values[(y + 1) * columns - 1];
  const isDark = sum / (2 * (rows + columns)) > (darkest + brightest) / 2;
  const paper = isDark ? brightest : darkest;
  const ink = values.map((value) => Math.abs(value - paper) / (brightest - darkest));
  let [top, bottom, left, right] = [rows, 0, columns, 0];
  ink.forEach((value, i) => {
    if (value <= INK_LEVEL) return;
    const [y, x] = [Math.floor(i / columns), i % columns];
    [top, bottom, left, right] = [Math.min(top, y), Math.max(bottom, y), Math.min(left, x), Math.max(right, x)];
  });
  const cut = { rows: bottom - top + 1, columns: right - left + 1 };
  return { ...cut, values: Float64Array.from({ length: cut.rows * cut.columns }, (_, i) =>
    ink[(top + Math.floor(i / cut.columns)) * columns + left + (i % cut.columns)]) };
}

/** Scale ink into the box, and place it so that its centre of mass is in the middle of [height, width], 0 to 255. */
function placeInk(ink, height, width) {
  const scale = Math.min(BOX_SHARE * height / ink.rows, BOX_SHARE * width / ink.columns);
  const small = resize(ink, Math.max(1, Math.round(ink.rows * scale)), Math.max(1, Math.round(ink.columns * scale)));
  let [total, momentY, momentX, most] = [0, 0, 0, 0];
  small.values.forEach((value, i) => {
    total += value;
    momentY += value * Math.floor(i / small.columns);
    momentX += value * (i % small.columns);
    most = Math.max(most, value);
  });
  const start = (moment, side, length) => Math.min(Math.max(Math.round(side / 2 - moment / total), 0), side - length);
  const top = start(momentY, height, small.rows);
  const left = start(momentX, width, small.columns);
  const grid = { rows: height, columns: width, values: new Float64Array(height * width) };
  small.values.forEach((value, i) => {
    const [y, x] = [top + Math.floor(i / small.columns), left + (i % small.columns)];
    grid.values[y * width + x] = 255 * value / most;
  });
  return grid;
}

/** Scale values to [newRows, newColumns]. Each result is the mean of the area that it covers. */
function resize({ values, rows, columns }, newRows, newColumns) {
  const result = new Float64Array(newRows * newColumns);
  const [down, across] = [rows / newRows, columns / newColumns];
  for (let y = 0; y < newRows; y++) {
    for (let x = 0; x < newColumns; x++) {
      let sum = 0;
      for (let i = Math.floor(y * down); i < Math.min((y + 1) * down, rows); i++) {
        const height = overlap(i, y * down, (y + 1) * down);
        for (let j = Math.floor(x * across); j < Math.min((x + 1) * across, columns); j++) {
          sum += height * overlap(j, x * across, (x + 1) * across) * values[i * columns + j];
        }
      }
      result[y * newColumns + x] = sum / (down * across);
    }
  }
  return { rows: newRows, columns: newColumns, values: result };
}

/** Return how much of the pixel `index`, from index to index + 1, lies between begin and end. */
function overlap(index, begin, end) {
  return Math.min(index + 1, end) - Math.max(index, begin);
}

/** Return the brightness of each pixel on white, from 0 to 255, weighted as Pillow does (ITU-R 601). */
function greyOf(image) {
  const [red, green, blue] = [0, 1, 2].map((c) => planeOf(image, c).values);
  return { rows: image.height, columns: image.width,
    values: red.map((value, i) => 0.299 * value + 0.587 * green[i] + 0.114 * blue[i]) };
}

function planeOf({ data, width, height }, channel) {
  const values = Float64Array.from({ length: width * height }, (_, i) => {
    const alpha = data[4 * i + 3] / 255;
    return alpha * data[4 * i + channel] + 255 * (1 - alpha);
  });
  return { rows: height, columns: width, values };
}

/**
 * Return the pixels of a small PNG file.
 *
 * @param {string} uri a `data:` URI, as POST /v1/predictions returns it for `prepared=true`.
 * @param {number[]} shape [height, width, channels] that the picture has.
 * @returns {Promise<Uint8Array>} row-major.
 */
export async function readPng(uri, [height, width, channels]) {
  const file = Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([file], { type: "image/png" }), { colorSpaceConversion: "none" });
  const context = contextOf(width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: height * width * channels }, (_, i) =>
    data[4 * Math.floor(i / channels) + (i % channels)]);
}

/** Draw the pixels of a model's input on a canvas. The arguments are as `preparePicture` returns and takes them. */
export function showPixels(canvas, pixels, [height, width, channels]) {
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function contextOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d", { willReadFrequently: true });
}
