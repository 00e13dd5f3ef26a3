import Foundation
import Tensors

// What kernels are compared with: loops as one writes them who knows in which order memory is read, and leaves the rest to
// the compiler. Never inlined, so that they are compiled the same way whatever calls them.

/// c ← a b, with a's element (i, k) at i · rowStep + k · innerStep.
@inline(never)
func plainProduct(
  rows: Int, inner: Int, columns: Int, _ a: Vector, rowStep: Int, innerStep: Int, _ b: Vector, _ c: MutableVector
) {
  c.fill(0)
  for i in 0..<rows {
    for k in 0..<inner {
      let factor = a[i * rowStep + k * innerStep]
      for j in 0..<columns { c[i * columns + j] += factor * b[k * columns + j] }
    }
  }
}

/// A convolution at distance 1, channels last.
struct PlainConvolution {
  let imageShape: [Int]
  let size: Int
  let padding: Int
  let outputShape: [Int]

  @inline(never)
  func convolve(_ images: Vector, _ weights: Vector, _ output: MutableVector, examples: Int) {
    let (height, width, channels) = (imageShape[0], imageShape[1], imageShape[2])
    let (outHeight, outWidth, outputs) = (outputShape[0], outputShape[1], outputShape[2])
    output.fill(0)
    for example in 0..<examples {
      for y in 0..<outHeight {
        for x in 0..<outWidth {
          let target = ((example * outHeight + y) * outWidth + x) * outputs
          for down in 0..<size {
            let row = y + down - padding
            guard row >= 0, row < height else { continue }
            for across in 0..<size {
              let column = x + across - padding
              guard column >= 0, column < width else { continue }
              let source = ((example * height + row) * width + column) * channels
              for channel in 0..<channels {
                let factor = images[source + channel]
                let weight = ((down * size + across) * channels + channel) * outputs
                for o in 0..<outputs { output[target + o] += factor * weights[weight + o] }
              }
            }
          }
        }
      }
    }
  }
}

@inline(never)
func plainLayerNormalization(
  rows: Int, columns: Int, _ x: Vector, weight: Vector, bias: Vector, epsilon: Float, _ y: MutableVector
) {
  for row in 0..<rows {
    let start = row * columns
    var sum: Float = 0
    for j in 0..<columns { sum += x[start + j] }
    let mean = sum / Float(columns)
    var squares: Float = 0
    for j in 0..<columns { squares += (x[start + j] - mean) * (x[start + j] - mean) }
    let inverse = 1 / (squares / Float(columns) + epsilon).squareRoot()
    for j in 0..<columns { y[start + j] = weight[j] * (x[start + j] - mean) * inverse + bias[j] }
  }
}

/// One example: x is context × 3 · width, queries, keys and values side by side; y is context × width.
@inline(never)
func plainAttention(context: Int, width: Int, heads: Int, _ x: Vector, _ y: MutableVector) {
  let depth = width / heads
  let scale = 1 / Float(depth).squareRoot()
  var weights = [Float](repeating: 0, count: context)
  y.fill(0)
  for head in 0..<heads {
    for i in 0..<context {
      let query = i * 3 * width + head * depth
      var largest = -Float.infinity
      for j in 0...i {
        let key = j * 3 * width + width + head * depth
        var product: Float = 0
        for d in 0..<depth { product += x[query + d] * x[key + d] }
        weights[j] = scale * product
        largest = max(largest, weights[j])
      }
      var sum: Float = 0
      for j in 0...i {
        weights[j] = exp(weights[j] - largest)
        sum += weights[j]
      }
      let target = i * width + head * depth
      for j in 0...i {
        let value = j * 3 * width + 2 * width + head * depth
        let factor = weights[j] / sum
        for d in 0..<depth { y[target + d] += factor * x[value + d] }
      }
    }
  }
}
