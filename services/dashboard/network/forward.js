// The forward pass of every kind of layer in plain JavaScript: uint8 pixels in, probabilities out.
//
// It is the third implementation beside TensorFlow's and PyTorch's, and is written to be read. It has the structure of
// shared/network/reference.py, which computes the same in NumPy, and shares no code with a backend. ADR 36 gives the
// reasons. It makes no request.
//
// Values are without a batch dimension and row-major, and their shape is [height, width, channels] or [units]. So the
// value at (row, column, channel) is values[(row * width + column) * channels + channel]. Weights are in the canonical
// layout of shared/network/weights.py. Values are 64-bit floats; weights are the model's 32-bit floats.

const LEAKY_RELU_SLOPE = 0.01;

const ACTIVATIONS = {
  relu: (z) => Math.max(z, 0),
  leaky_relu: (z) => (z > 0 ? z : LEAKY_RELU_SLOPE * z),
  sigmoid: (z) => 1 / (1 + Math.exp(-z)), // exp gives Infinity for z < -709, and 1 / Infinity is 0
  tanh: Math.tanh,
};

// The layers --------------------------------------------------------------------------------------------------------
//
// For each kind, a function of the layer and of its input's shape. It returns `shape`, that of the output; `weights`, the
// shapes of the weights if it has some; and `compute(x, y, weights)`, which reads the input's values x and writes the
// output's values y, which begin as zeros.

const LAYERS = {
  // The values are in the order height, width, channel already.
  flatten: (layer, shape) => ({ shape: [size(shape)], compute: copy }),

  // y[j] = activation(bias[j] + sum over i of x[i] * kernel[i, j])
  dense: ({ units, activation }, [inputs]) => ({
    shape: [units],
    weights: { kernel: [inputs, units], bias: [units] },
    compute(x, y, { kernel, bias }) {
      y.set(bias);
      addProducts(x, 0, inputs, kernel, 0, y, 0, units);
      activate(activation, y);
    },
  }),

  // y[row, column, j] = activation(bias[j] + sum over the window and i of x[.., .., i] * kernel[.., .., i, j])
  conv2d(layer, shape) {
    const { kernel_size: sizes, filters } = layer;
    const channels = shape[2];
    const windows = windowsOf(shape, sizes, layer.strides ?? 1, layer.padding);
    return {
      shape: [...windows.shape, filters],
      weights: { kernel: [...pair(sizes), channels, filters], bias: [filters] },
      compute(x, y, { kernel, bias }) {
        for (let start = 0; start < y.length; start += filters) y.set(bias, start);
        windows.visit((from, to, position) => {
          const block = position * channels * filters; // of the kernel: all inputs and outputs of this pixel
          addProducts(x, from * channels, channels, kernel, block, y, to * filters, filters);
        });
        activate(layer.activation, y);
      },
    };
  },

  // The largest value of each window. Pixels outside of the picture never count.
  max_pool2d: (layer, shape) => pool(layer, shape, (most, value, count) => (count === 1 || value > most ? value : most)),

  // The mean of each window, as a running mean. Pixels outside of the picture are not counted.
  average_pool2d: (layer, shape) => pool(layer, shape, (mean, value, count) => mean + (value - mean) / count),

  // The mean of each channel.
  global_average_pool2d: (layer, [height, width, channels]) => ({
    shape: [channels],
    compute: (x, y) => x.forEach((value, i) => { y[i % channels] += value / (height * width); }),
  }),

  // y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel, with the moving averages of the training
  batch_norm(layer, shape) {
    const channels = shape.at(-1);
    const vector = [channels];
    return {
      shape,
      weights: { gamma: vector, beta: vector, moving_mean: vector, moving_variance: vector },
      compute(x, y, { gamma, beta, moving_mean: mean, moving_variance: variance }) {
        const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c] + (layer.epsilon ?? 1e-3)));
        x.forEach((value, i) => {
          const c = i % channels;
          y[i] = scale[c] * (value - mean[c]) + beta[c];
        });
      },
    };
  },

  // Only a training drops values.
  dropout: (layer, shape) => ({ shape, compute: copy }),
};

/**
 * Return a model that predicts one picture at a time.
 *
 * @param {{input_shape: number[], layers: object[]}} network as in a model's manifest.
 * @param {Map<string, {shape: number[], values: Float32Array}>} weights by canonical name: `layers.1.kernel`.
 * @returns {{predict: (pixels: Uint8Array) => Float64Array}} `predict` takes the pixels of one picture, row-major
 *     [height, width, channels] from 0 to 255, and returns the probability of each class.
 * @throws {Error} a layer or an activation is unknown, or the weights are not those of the network.
 */
export function createModel(network, weights) {
  let shape = network.input_shape;
  const steps = network.layers.map((layer, index) => {
    const { kind, activation } = layer;
    if (!Object.hasOwn(LAYERS, kind) || (activation && !Object.hasOwn(ACTIVATIONS, activation))) {
      throw new Error(`this page does not know the layer ${JSON.stringify(layer)}`);
    }
    const step = LAYERS[kind](layer, shape);
    const own = {};
    for (const [part, expected] of Object.entries(step.weights ?? {})) {
      const name = `layers.${index}.${part}`;
      const tensor = weights.get(name);
      if (String(tensor?.shape) !== String(expected)) throw new Error(`the weights have no ${name} of [${expected}]`);
      own[part] = tensor.values;
    }
    shape = step.shape;
    return { ...step, own };
  });

  function predict(pixels) {
    let x = Float64Array.from(pixels, (pixel) => pixel / 255);
    for (const step of steps) {
      const y = new Float64Array(size(step.shape));
      step.compute(x, y, step.own);
      x = y;
    }
    return softmax(x);
  }

  return { predict };
}

/** Return e^logit / (sum of all e^logit) for each logit. Subtracting the largest first avoids an overflow. */
function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

function copy(x, y) {
  y.set(x);
}

/** Replace each value z by activation(z). Without an activation, the values stay as they are. */
function activate(name, values) {
  if (!name) return;
  const activation = ACTIVATIONS[name];
  for (let i = 0; i < values.length; i++) values[i] = activation(values[i]);
}

/**
 * Add a vector times a matrix: y[j] += sum over i of x[i] * matrix[i, j].
 *
 * Nearly all of the time is spent here. Each argument is an array and the index at which the vector or matrix begins.
 */
function addProducts(x, xStart, rows, matrix, matrixStart, y, yStart, columns) {
  for (let i = 0; i < rows; i++) {
    const factor = x[xStart + i];
    if (factor === 0) continue; // about half of the values after a ReLU, and most pixels of a drawing
    const row = matrixStart + i * columns;
    for (let j = 0; j < columns; j++) y[yStart + j] += factor * matrix[row + j];
  }
}

// Windows -----------------------------------------------------------------------------------------------------------

/** Return a pooling layer. `combine` takes the result so far, the next value of the window, and its number from 1. */
function pool(layer, shape, combine) {
  const channels = shape[2];
  const sizes = layer.pool_size ?? 2;
  const windows = windowsOf(shape, sizes, layer.strides ?? sizes, layer.padding);
  return {
    shape: [...windows.shape, channels],
    compute(x, y) {
      const counts = new Uint32Array(y.length);
      windows.visit((from, to) => {
        for (let c = 0; c < channels; c++) {
          const i = to * channels + c;
          y[i] = combine(y[i], x[from * channels + c], ++counts[i]);
        }
      });
    },
  };
}

/**
 * Return the windows of a convolution or a pool: their number as `shape` [rows, columns], and `visit(work)`. It calls
 * `work(from, to, position)` for each pixel of each window that lies inside of the picture: with the index of the
 * input's pixel, that of the output's pixel, and the pixel's position in the window. Pixels are counted row by row.
 */
function windowsOf([height, width], sizes, strides, padding) {
  const [tall, wide] = pair(sizes);
  const [down, right] = pair(strides);
  const [rows, top] = alongSide(height, tall, down, padding);
  const [columns, left] = alongSide(width, wide, right, padding);
  function visit(work) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let i = 0; i < tall; i++) {
          const y = row * down - top + i;
          if (y < 0 || y >= height) continue;
          for (let j = 0; j < wide; j++) {
            const x = column * right - left + j;
            if (x >= 0 && x < width) work(y * width + x, row * columns + column, i * wide + j);
          }
        }
      }
    }
  }
  return { shape: [rows, columns], visit };
}

/**
 * Return the number of windows along a side, and the padding before it. `same` padding extends the picture so that there
 * is one window for each stride. As in TensorFlow, the smaller half of an odd number of pixels comes before.
 */
function alongSide(side, window, stride, padding) {
  if (padding !== "same") return [Math.floor((side - window) / stride) + 1, 0];
  const count = Math.ceil(side / stride);
  return [count, Math.floor(Math.max((count - 1) * stride + window - side, 0) / 2)];
}

/** Return [height, width]. A single number stands for both. */
function pair(value) {
  return Array.isArray(value) ? value : [value, value];
}

function size(shape) {
  return shape.reduce((product, side) => product * side, 1);
}
