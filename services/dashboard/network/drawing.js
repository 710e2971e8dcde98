// What the browser does with a drawing while no server prepares it, and how pixels become a picture and back.
//
// While the server answers, the browser's forward pass gets the very pixels that the server's models saw (`readPng`).
// When the server is gone, `preparePicture` does what shared/data/ink.py and drawing.py do to a clean drawing: cut out
// the ink, scale it into a box of 20 x 20, and place its centre of mass in the middle of 28 x 28 (LeCun et al. 1998).
// It does not look for the drawing in a photograph: it expects one drawing on even paper.

const BOX_SHARE = 20 / 28; // of the grid's side
const MIN_CONTRAST = 16; // grey levels: with less, the picture is blank
const INK_LEVEL = 0.5; // of full ink: darker pixels decide where the drawing begins and ends
const SAMPLES = 16; // points per side of a pixel, of which a scaled picture's pixel is the mean
const GREY = [0.299, 0.587, 0.114]; // the shares of red, green and blue, as in Pillow (ITU-R 601)
const COLOURS = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

/**
 * Return a picture as a model takes it.
 *
 * @param {ImageData} image any size, without transparency.
 * @param {number[]} shape [height, width, channels] of the model's input; 1 channel is grey, 3 are RGB.
 * @param {string} prepare `ink` cuts out what is drawn, dark on light or light on dark; otherwise it is only scaled.
 * @returns {Uint8Array|null} row-major; null if the picture is blank.
 */
export function preparePicture({ data, width, height }, [rows, columns, channels], prepare) {
  const mix = ([red, green, blue]) => Float64Array.from({ length: width * height }, (_, i) =>
    red * data[4 * i] + green * data[4 * i + 1] + blue * data[4 * i + 2]);
  const grey = mix(GREY);
  const least = grey.reduce((one, other) => Math.min(one, other));
  const most = grey.reduce((one, other) => Math.max(one, other));
  if (most - least < MIN_CONTRAST) return null;
  let planes;
  if (prepare === "ink") planes = [placeInk(inkOf(grey, width, least, most), width, rows, columns)];
  else planes = (channels === 1 ? [GREY] : COLOURS).map((shares) => scale(mix(shares), width, [0, 0, height, width], rows, columns));
  return Uint8Array.from({ length: rows * columns * channels }, (_, i) =>
    Math.round(planes[i % channels % planes.length][Math.floor(i / channels)]));
}

/** Return how much ink each pixel has, from 0 to 1. The border shows whether the paper is light or dark. */
function inkOf(grey, width, least, most) {
  const border = grey.filter((_, i) => i < width || i >= grey.length - width || i % width === 0 || (i + 1) % width === 0);
  const isLight = border.reduce((sum, value) => sum + value, 0) / border.length > (least + most) / 2;
  return grey.map((value) => (isLight ? most - value : value - least) / (most - least));
}

/** Scale ink into the box, and place it so that its centre of mass is in the middle of [rows, columns], 0 to 255. */
function placeInk(ink, width, rows, columns) {
  let [top, left, bottom, right] = [Infinity, Infinity, 0, 0];
  ink.forEach((value, i) => {
    if (value <= INK_LEVEL) return;
    const [y, x] = [Math.floor(i / width), i % width];
    [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y + 1), Math.max(right, x + 1)];
  });
  const factor = BOX_SHARE * Math.min(rows / (bottom - top), columns / (right - left));
  const [tall, wide] = [bottom - top, right - left].map((side) => Math.max(1, Math.round(side * factor)));
  const small = scale(ink, width, [top, left, bottom, right], tall, wide);
  let [total, momentY, momentX, most] = [0, 0, 0, 0];
  small.forEach((value, i) => {
    total += value;
    momentY += value * Math.floor(i / wide);
    momentX += value * (i % wide);
    most = Math.max(most, value);
  });
  const start = (moment, side, length) => Math.min(Math.max(Math.round(side / 2 - moment / total), 0), side - length);
  const first = start(momentY, rows, tall) * columns + start(momentX, columns, wide);
  const grid = new Float64Array(rows * columns);
  small.forEach((value, i) => { grid[first + Math.floor(i / wide) * columns + (i % wide)] = 255 * value / most; });
  return grid;
}

/** Scale the part [top, left, bottom, right] of a picture to [rows, columns]. Each result is a mean of SAMPLES^2 points. */
function scale(values, width, [top, left, bottom, right], rows, columns) {
  return Float64Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    let sum = 0;
    for (let i = 0.5; i < SAMPLES; i++) {
      const y = top + Math.floor((row + i / SAMPLES) * (bottom - top) / rows);
      for (let j = 0.5; j < SAMPLES; j++) {
        sum += values[y * width + left + Math.floor((column + j / SAMPLES) * (right - left) / columns)];
      }
    }
    return sum / SAMPLES ** 2;
  });
}

/**
 * Return the pixels of a small PNG file.
 *
 * @param {string} uri a `data:` URI, as POST /v1/predictions returns it for `prepared=true`.
 * @param {number[]} shape [height, width, channels] that the picture has.
 * @returns {Promise<Uint8Array>} row-major.
 */
export async function readPng(uri, [height, width, channels]) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: height * width * channels }, (_, i) =>
    data[4 * Math.floor(i / channels) + (i % channels)]);
}

/** Draw the pixels of a model's input on a canvas. The arguments are as `preparePicture` returns and takes them. */
export function showPixels(canvas, pixels, [height, width, channels]) {
  const image = new ImageData(width, height);
  image.data.forEach((_, i) => {
    image.data[i] = i % 4 === 3 ? 255 : pixels[Math.floor(i / 4) * channels + (i % 4) % channels];
  });
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(image, 0, 0);
}
