// The forward pass of every kind of layer in plain JavaScript: uint8 pixels in, probabilities out.
//
// It is the third implementation beside TensorFlow's and PyTorch's, and is written to be read. It has the structure of
// shared/network/reference.py, which computes the same in NumPy, and shares no code with a backend. ADR 36 gives the
// reasons. It makes no request.
//
// A tensor here is {shape, values} without a batch dimension: [height, width, channels] or [units], row-major. So the
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
// For each kind: `outputShape(layer, shape)`, `weightShapes(layer, shape)` where the layer has weights, and
// `compute(layer, x, weights, output)`, which writes the output's values. `output` begins with zeros.

const LAYERS = {
  // The values are in the order height, width, channel already.
  flatten: {
    outputShape: (layer, shape) => [size(shape)],
    compute: (layer, x, weights, output) => output.values.set(x.values),
  },

  // y[j] = activation(bias[j] + sum over i of x[i] * kernel[i, j])
  dense: {
    outputShape: (layer) => [layer.units],
    weightShapes: (layer, shape) => ({ kernel: [shape[0], layer.units], bias: [layer.units] }),
    compute(layer, x, { kernel, bias }, output) {
      output.values.set(bias);
      addProducts(x.values, 0, x.values.length, kernel, 0, output.values, 0, layer.units);
      activate(layer.activation, output.values);
    },
  },

  // y[row, column, j] = activation(bias[j] + sum over the window and i of x[.., .., i] * kernel[.., .., i, j])
  conv2d: {
    outputShape: (layer, shape) => windowedShape(layer, shape, layer.filters),
    weightShapes: (layer, shape) => ({
      kernel: [...pair(layer.kernel_size), shape[2], layer.filters],
      bias: [layer.filters],
    }),
    compute(layer, x, { kernel, bias }, output) {
      const [, , channels] = x.shape;
      const { filters } = layer;
      for (let start = 0; start < output.values.length; start += filters) output.values.set(bias, start);
      forEachWindowPixel(layer, x.shape, output.shape, (from, to, position) => {
        const block = position * channels * filters; // of the kernel: all inputs and outputs of this pixel
        addProducts(x.values, from * channels, channels, kernel, block, output.values, to * filters, filters);
      });
      activate(layer.activation, output.values);
    },
  },

  // The largest value of each window. Pixels outside of the picture never count.
  max_pool2d: {
    outputShape: (layer, shape) => windowedShape(layer, shape, shape[2]),
    compute(layer, x, weights, output) {
      const [, , channels] = x.shape;
      output.values.fill(-Infinity);
      forEachWindowPixel(layer, x.shape, output.shape, (from, to) => {
        for (let c = 0; c < channels; c++) {
          const value = x.values[from * channels + c];
          if (value > output.values[to * channels + c]) output.values[to * channels + c] = value;
        }
      });
    },
  },

  // The mean of each window. Pixels outside of the picture are not counted.
  average_pool2d: {
    outputShape: (layer, shape) => windowedShape(layer, shape, shape[2]),
    compute(layer, x, weights, output) {
      const [, , channels] = x.shape;
      const counts = new Float64Array(output.values.length / channels);
      forEachWindowPixel(layer, x.shape, output.shape, (from, to) => {
        counts[to] += 1;
        for (let c = 0; c < channels; c++) output.values[to * channels + c] += x.values[from * channels + c];
      });
      for (let i = 0; i < output.values.length; i++) output.values[i] /= counts[Math.floor(i / channels)];
    },
  },

  // The mean of each channel.
  global_average_pool2d: {
    outputShape: (layer, shape) => {
      checkIsImage(shape);
      return [shape[2]];
    },
    compute(layer, x, weights, output) {
      const [height, width, channels] = x.shape;
      for (let i = 0; i < x.values.length; i++) output.values[i % channels] += x.values[i] / (height * width);
    },
  },

  // y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel, with the moving averages of the training
  batch_norm: {
    outputShape: (layer, shape) => shape,
    weightShapes: (layer, shape) => {
      const vector = [shape.at(-1)];
      return { gamma: vector, beta: vector, moving_mean: vector, moving_variance: vector };
    },
    compute(layer, x, { gamma, beta, moving_mean: mean, moving_variance: variance }, output) {
      const channels = x.shape.at(-1);
      const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c] + (layer.epsilon ?? 1e-3)));
      for (let i = 0; i < x.values.length; i++) {
        const c = i % channels;
        output.values[i] = scale[c] * (x.values[i] - mean[c]) + beta[c];
      }
    },
  },

  // Only a training drops values.
  dropout: {
    outputShape: (layer, shape) => shape,
    compute: (layer, x, weights, output) => output.values.set(x.values),
  },
};

/**
 * Return a model that predicts one picture at a time.
 *
 * @param {{input_shape: number[], layers: object[]}} network as in a model's manifest.
 * @param {Map<string, {shape: number[], values: Float32Array}>} weights by canonical name: `layers.1.kernel`.
 * @returns {{predict: (pixels: Uint8Array) => Float64Array}} `predict` takes the pixels of one picture, row-major
 *     [height, width, channels] from 0 to 255, and returns the probability of each class.
 * @throws {Error} a layer is unknown or does not fit its input, or the weights are not those of the network.
 */
export function createModel(network, weights) {
  const unused = new Set(weights.keys());
  let shape = network.input_shape;
  const steps = network.layers.map((layer, index) => {
    const name = `layers.${index} (${layer.kind})`;
    const kind = Object.hasOwn(LAYERS, layer.kind) ? LAYERS[layer.kind] : undefined;
    if (!kind) throw new Error(`${name} is of a kind that this page does not know`);
    if (layer.activation && !Object.hasOwn(ACTIVATIONS, layer.activation)) {
      throw new Error(`${name} has an activation that this page does not know: ${layer.activation}`);
    }
    const own = {};
    for (const [part, expected] of Object.entries(kind.weightShapes?.(layer, shape) ?? {})) {
      const tensor = weights.get(`layers.${index}.${part}`);
      if (!tensor) throw new Error(`the weights have no layers.${index}.${part}`);
      if (String(tensor.shape) !== String(expected)) {
        throw new Error(`layers.${index}.${part} is [${tensor.shape}], but the network needs [${expected}]`);
      }
      own[part] = tensor.values;
      unused.delete(`layers.${index}.${part}`);
    }
    shape = kind.outputShape(layer, shape);
    if (!shape.every((side) => side >= 1)) throw new Error(`${name} has a window that does not fit into its input`);
    return { layer, kind, weights: own, outputShape: shape };
  });
  if (unused.size) throw new Error(`the weights are of another network: it has no ${[...unused].join(", ")}`);

  function predict(pixels) {
    if (pixels.length !== size(network.input_shape)) {
      throw new Error(`the model takes [${network.input_shape}] pixels, but got ${pixels.length} values`);
    }
    let x = { shape: network.input_shape, values: Float64Array.from(pixels, (pixel) => pixel / 255) };
    for (const step of steps) {
      const output = { shape: step.outputShape, values: new Float64Array(size(step.outputShape)) };
      step.kind.compute(step.layer, x, step.weights, output);
      x = output;
    }
    return softmax(x.values);
  }

  return { predict };
}

/** Return e^logit / (sum of all e^logit) for each logit. Subtracting the largest first avoids an overflow. */
function softmax(logits) {
  const largest = logits.reduce((one, other) => Math.max(one, other));
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
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

/**
 * Visit each pixel of each window that lies inside of the picture.
 *
 * @param {object} layer a convolution or a pool.
 * @param {number[]} inputShape [height, width, channels].
 * @param {number[]} outputShape [height, width, channels].
 * @param {(from: number, to: number, position: number) => void} visit takes the index of the input's pixel, that of the
 *     output's pixel, and the pixel's position in the window. Pixels are counted row by row.
 */
function forEachWindowPixel(layer, [height, width], [rows, columns], visit) {
  const { sizes: [tall, wide], strides: [down, right] } = windowOf(layer);
  const top = paddingBefore(layer.padding, height, rows, tall, down);
  const left = paddingBefore(layer.padding, width, columns, wide, right);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let i = 0; i < tall; i++) {
        const y = row * down - top + i;
        if (y < 0 || y >= height) continue;
        for (let j = 0; j < wide; j++) {
          const x = column * right - left + j;
          if (x >= 0 && x < width) visit(y * width + x, row * columns + column, i * wide + j);
        }
      }
    }
  }
}

/** Return the window's sizes and strides, each as [height, width]. A pool's strides are its size by default. */
function windowOf(layer) {
  const sizes = pair(layer.kind === "conv2d" ? layer.kernel_size : (layer.pool_size ?? 2));
  return { sizes, strides: pair(layer.strides ?? (layer.kind === "conv2d" ? 1 : sizes)) };
}

/** Return the output's shape. `same` padding extends the picture so that there is one output for each stride. */
function windowedShape(layer, shape, channels) {
  checkIsImage(shape);
  const { sizes, strides } = windowOf(layer);
  const sides = [0, 1].map((axis) => (layer.padding === "same"
    ? Math.ceil(shape[axis] / strides[axis])
    : Math.floor((shape[axis] - sizes[axis]) / strides[axis]) + 1));
  return [...sides, channels];
}

/** Return the rows above, or columns left of, the picture. As in TensorFlow, the smaller half of an odd number. */
function paddingBefore(padding, side, outputSide, windowSide, stride) {
  if (padding !== "same") return 0;
  return Math.floor(Math.max((outputSide - 1) * stride + windowSide - side, 0) / 2);
}

function checkIsImage(shape) {
  if (shape.length !== 3) throw new Error(`a layer takes [height, width, channels], but gets [${shape}]`);
}

/** Return [height, width]. A single number stands for both. */
function pair(value) {
  return Array.isArray(value) ? value : [value, value];
}

function size(shape) {
  return shape.reduce((product, side) => product * side, 1);
}
