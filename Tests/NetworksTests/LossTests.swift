import Foundation
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct LossTests {
  private static let losses: [any Loss] = [
    CrossEntropy(), CrossEntropy(labelSmoothing: 0.1), CrossEntropy(labelSmoothing: 0.9), MeanSquaredError(),
    Huber(delta: 0.7), Huber(delta: 3), BinaryCrossEntropy(), LogCosh(),
  ]

  /// The loss of one prediction by its definition, in double precision.
  private static func reference(_ loss: any Loss, _ x: [Double], _ targets: [Double]) -> Double {
    func mean(_ term: (Double, Double) -> Double) -> Double { zip(x, targets).reduce(0) { $0 + term($1.0, $1.1) } / Double(x.count) }
    switch loss {
    case let loss as CrossEntropy:
      let total = x.reduce(0) { $0 + exp($1) }
      let smoothing = Double(loss.labelSmoothing)
      return x.indices.reduce(0) { sum, k in
        let q = (Double(k) == targets[0] ? 1 - smoothing : 0) + smoothing / Double(x.count)
        return sum - q * log(exp(x[k]) / total)
      }
    case is MeanSquaredError: return mean { ($0 - $1) * ($0 - $1) }
    case let loss as Huber:
      let delta = Double(loss.delta)
      return mean { abs($0 - $1) <= delta ? ($0 - $1) * ($0 - $1) / 2 : delta * (abs($0 - $1) - delta / 2) }
    case is BinaryCrossEntropy:
      return mean { x, t in
        let p = 1 / (1 + exp(-x))
        return -t * log(p) - (1 - t) * log(1 - p)
      }
    default: return mean { log(cosh($0 - $1)) }
    }
  }

  private struct Sample: ~Copyable {
    var outputs: FloatBuffer
    var targets: Targets
    let rows: Int
    let columns: Int

    init(_ loss: any Loss, rows: Int, columns: Int) throws {
      (self.rows, self.columns) = (rows, columns)
      let random = RandomSource(seed: 4, purpose: .synthesis)
      outputs = try FloatBuffer(count: rows * columns)
      random.fillNormal(outputs.mutableVector, batch: 0, deviation: 1.5)
      // Room for more, as in a workspace that was made for a larger batch.
      targets = Targets(loss.targetKind, count: rows * loss.targetCount(outputs: columns) + 5)
      for i in targets.classes.indices { targets.classes[i] = Int32(random.index(below: columns, batch: 1, example: i)) }
      for i in targets.values.indices { targets.values[i] = Float(random.uniform(batch: 2 + i)) }
    }

    var matrix: Matrix { outputs.vector.matrix(rows: rows, columns: columns) }

    func predictions(_ loss: any Loss) -> [(x: [Double], targets: [Double])] {
      (0..<rows).map { r in
        let count = loss.targetCount(outputs: columns)
        let range = r * count..<(r + 1) * count
        let targets = loss.targetKind == .classes ? targets.classes[range].map(Double.init) : targets.values[range].map(Double.init)
        return ((0..<columns).map { Double(matrix[row: r][$0]) }, targets)
      }
    }
  }

  @Test(arguments: losses.indices, [(1, 1), (5, 3), (4, 10)])
  func sumsAndGradientsAreThoseOfTheDefinition(index: Int, shape: (Int, Int)) throws {
    let loss = Self.losses[index]
    let sample = try Sample(loss, rows: shape.0, columns: shape.1)
    let predictions = sample.predictions(loss)
    let expected = predictions.reduce(0) { $0 + Self.reference(loss, $1.x, $1.targets) }
    #expect(abs(loss.total(over: sample.matrix, sample.targets) - expected) < 1e-5 * max(1, abs(expected)))

    var gradient = try FloatBuffer(count: sample.outputs.count)
    gradient.mutableVector.fill(.nan)
    loss.writeGradient(
      of: sample.matrix, sample.targets, predictions: shape.0,
      to: gradient.mutableVector.matrix(rows: shape.0, columns: shape.1))
    let step = 1e-5
    for (r, prediction) in predictions.enumerated() {
      for c in 0..<shape.1 {
        var (up, down) = (prediction.x, prediction.x)
        up[c] += step
        down[c] -= step
        let difference = Self.reference(loss, up, prediction.targets) - Self.reference(loss, down, prediction.targets)
        let slope = difference / (2 * step * Double(shape.0))
        #expect(abs(Double(gradient[r * shape.1 + c]) - slope) < 1e-6, "\(loss), (\(r), \(c))")
      }
    }
  }

  /// Rows in parts continue the sum and have the gradients of the whole batch's mean, in every bit.
  @Test(arguments: losses.indices, [[6], [1, 2, 3], [5, 1], [1, 1, 1, 1, 1, 1]])
  func partsOfABatchGiveItsBits(index: Int, parts: [Int]) throws {
    let loss = Self.losses[index]
    for columns in [1, 3, 7] {
      let sample = try Sample(loss, rows: 6, columns: columns)
      var whole = 0.0
      loss.sum(over: sample.matrix, sample.targets, into: &whole)
      var gradient = try FloatBuffer(count: 6 * columns)
      loss.writeGradient(
        of: sample.matrix, sample.targets, predictions: 6,
        to: gradient.mutableVector.matrix(rows: 6, columns: columns))
      var (sum, first) = (0.0, 0)
      for rows in parts {
        var targets = sample.targets
        let count = loss.targetCount(outputs: columns)
        targets.classes = Array(targets.classes.dropFirst(first * count))
        targets.values = Array(targets.values.dropFirst(first * count))
        let outputs = sample.matrix.rows(first..<first + rows)
        loss.sum(over: outputs, targets, into: &sum)
        var part = try FloatBuffer(count: rows * columns)
        loss.writeGradient(
          of: outputs, targets, predictions: 6, to: part.mutableVector.matrix(rows: rows, columns: columns))
        for i in 0..<part.count { #expect(part[i].bitPattern == gradient[first * columns + i].bitPattern) }
        first += rows
      }
      #expect(sum == whole)
    }
  }

  /// The values of PyTorch's losses, with `reduction="mean"`, for these outputs and targets.
  @Test func valuesAreThoseOfKnownExamples() throws {
    var outputs = try FloatBuffer(count: 4)
    for (index, value) in ([1, -2, 0.5, 3] as [Float]).enumerated() { outputs[index] = value }
    let matrix = outputs.vector.matrix(rows: 2, columns: 2)
    var values = Targets(.values, count: 4)
    values.values = [1, 0, 0.25, 1]
    var classes = Targets(.classes, count: 2)
    classes.classes = [0, 1]
    #expect(abs(MeanSquaredError().total(over: matrix, values) / 2 - 2.015625) < 1e-7)
    #expect(abs(Huber().total(over: matrix, values) / 2 - (0 + 1.5 + 0.03125 + 1.5) / 4) < 1e-7)
    // The odds of the right class are e³ : 1 in the first row and e^2.5 : 1 in the second.
    let expected = (log(1 + exp(-3.0)) + log(1 + exp(-2.5))) / 2
    #expect(abs(CrossEntropy().total(over: matrix, classes) / 2 - expected) < 1e-7)
  }

  @Test func nothingOverflows() throws {
    var outputs = try FloatBuffer(count: 4)
    for (index, value) in ([1e4, -1e4, 80, -80] as [Float]).enumerated() { outputs[index] = value }
    let matrix = outputs.vector.matrix(rows: 2, columns: 2)
    var values = Targets(.values, count: 4)
    values.values = [0, 1, 1, 0]
    var classes = Targets(.classes, count: 2)
    classes.classes = [1, 0]
    var gradient = try FloatBuffer(count: 4)
    for loss in [BinaryCrossEntropy(), CrossEntropy(), CrossEntropy(labelSmoothing: 0.2)] as [any Loss] {
      let targets = loss.targetKind == .values ? values : classes
      let sum = loss.total(over: matrix, targets)
      #expect(sum.isFinite && sum > 1e3)
      loss.writeGradient(of: matrix, targets, predictions: 2, to: gradient.mutableVector.matrix(rows: 2, columns: 2))
      for index in 0..<4 { #expect(abs(gradient[index]) <= 0.5) }
    }
    #expect(abs(BinaryCrossEntropy().total(over: matrix, values) - 1e4) < 1e-3)
  }
}

extension Loss {
  /// The sum of the predictions' losses.
  func total(over outputs: Matrix, _ targets: Targets) -> Double {
    var sum = 0.0
    self.sum(over: outputs, targets, into: &sum)
    return sum / Double(termCount(outputs: outputs.columns))
  }
}

@Suite struct MeasureTests {
  /// The values of measures over the outputs, given in parts of these sizes, in order.
  /// - Parameter ends: how many predictions there have been when a batch ends; nil for after each part.
  private func values(
    _ measures: [any Measure], _ outputs: [Float], columns: Int, batches: [Int], ends: [Int]? = nil, classes: [Int32] = [], values: [Float] = []
  ) throws -> [Double] {
    var measurement = Measurement(measures, outputs: columns)
    var first = 0
    for rows in batches {
      var buffer = try FloatBuffer(count: rows * columns)
      for i in 0..<buffer.count { buffer[i] = outputs[first * columns + i] }
      var targets = Targets(classes.isEmpty ? .values : .classes, count: 0)
      targets.classes = Array(classes.dropFirst(first))
      targets.values = Array(values.dropFirst(first * columns))
      measurement.add(buffer.vector.matrix(rows: rows, columns: columns), targets)
      first += rows
      if ends?.contains(first) ?? true { measurement.endBatch() }
    }
    #expect(measurement.predictions == first)
    return measurement.values
  }

  @Test(arguments: [[6], [1, 2, 3], [5, 1]])
  func errorsOfRegressionAreThoseOfTheDefinition(batches: [Int]) throws {
    let outputs: [Float] = [1, 10, 2, 20, 4, 15, 3, 11, 0, 12, 7, 19]
    let targets: [Float] = [1, 10.5, 3, 18, 4, 16, 5, 10, 1, 13, 6, 20]
    let errors = zip(outputs, targets).map { Double($0 - $1) }
    func determination(_ column: Int) -> Double {
      let places = Swift.stride(from: column, to: 12, by: 2)
      let mean = places.reduce(0) { $0 + Double(targets[$1]) } / 6
      return 1 - places.reduce(0) { $0 + errors[$1] * errors[$1] }
        / places.reduce(0) { $0 + (Double(targets[$1]) - mean) * (Double(targets[$1]) - mean) }
    }
    let expected = [
      errors.reduce(0) { $0 + $1 * $1 } / 12, errors.reduce(0) { $0 + abs($1) } / 12,
      (errors.reduce(0) { $0 + $1 * $1 } / 12).squareRoot(), (determination(0) + determination(1)) / 2,
    ]
    let found = try values(
      [MeanLoss(MeanSquaredError()), MeanAbsoluteError(), RootMeanSquaredError(), CoefficientOfDetermination()], outputs,
      columns: 2, batches: batches, values: targets)
    for (found, expected) in zip(found, expected) { #expect(abs(found - expected) < 1e-12) }
  }

  private static let manyMeasures: [any Measure] = [
    MeanLoss(MeanSquaredError()), MeanLoss(BinaryCrossEntropy()), MeanAbsoluteError(), RootMeanSquaredError(),
    CoefficientOfDetermination(), BinaryAccuracy(),
  ]

  /// Sums are added up batch by batch, and a batch's parts do not matter.
  @Test(arguments: [1, 2, 3, 5, 64])
  func partsOfBatchesGiveTheBitsOfBatches(part: Int) throws {
    let (rows, columns, batch) = (100, 3, 17)
    var random = SplitMix(state: 5)
    let outputs = (0..<rows * columns).map { _ in Float.random(in: -2...2, using: &random) }
    let targets = (0..<rows * columns).map { _ in Float.random(in: 0...1, using: &random) }
    let sizes = stride(from: 0, to: rows, by: batch).map { min(batch, rows - $0) }
    var ends: [Int] = []
    for size in sizes { ends.append((ends.last ?? 0) + size) }
    let parts = sizes.flatMap { size in stride(from: 0, to: size, by: part).map { min(part, size - $0) } }
    let whole = try values(Self.manyMeasures, outputs, columns: columns, batches: sizes, values: targets)
    let found = try values(Self.manyMeasures, outputs, columns: columns, batches: parts, ends: ends, values: targets)
    #expect(found == whole)
    var (squares, distances) = (0.0, 0.0)
    for (end, size) in zip(ends, sizes) {
      let errors = ((end - size) * columns..<end * columns).map { Double(outputs[$0]) - Double(targets[$0]) }
      squares += errors.reduce(0) { $0 + $1 * $1 } / Double(columns)
      distances += errors.reduce(0) { $0 + abs($1) }
    }
    #expect(found[0] == squares / Double(rows) && found[2] == distances / Double(rows * columns))
  }

  @Test func determinationOfEqualTargetsAndOfTheMean() throws {
    func determination(_ outputs: [Float], _ targets: [Float]) throws -> Double {
      try values([CoefficientOfDetermination()], outputs, columns: 1, batches: [outputs.count], values: targets)[0]
    }
    #expect(try determination([2, 2, 2], [2, 2, 2]) == 1)
    #expect(try determination([2, 2, 3], [2, 2, 2]) == 0)
    #expect(try determination([2, 2, 2], [1, 2, 3]) == 0)
    #expect(try determination([1, 2, 3], [1, 2, 3]) == 1)
    #expect(try determination([.nan, 2, 2], [2, 2, 2]).isNaN)
    // A large mean must not swallow the deviations from it.
    let large = (0..<1000).map { 16_000_000 + Float($0 % 2) }
    #expect(abs(try determination(large.map { $0 == 16_000_000 ? 16_000_001 : 16_000_000 }, large) + 3) < 1e-9)
  }

  @Test func hits() throws {
    let logits: [Float] = [1, 2, 2, 1, 1, 1, .nan, 5, 5, .nan, .infinity, 0, -.infinity, 0]
    let classes: [Int32] = [1, 0, 0, 1, 0, 0, 1]
    // A tie goes to the first; a NaN and an infinite largest mean nothing; an impossible other class is one.
    #expect(try values([Accuracy()], logits, columns: 2, batches: [3, 4], classes: classes)[0] == 4.0 / 7)
    let binary: [Float] = [3, -1, 0, 2, .nan, -.infinity]
    #expect(try values([BinaryAccuracy()], binary, columns: 2, batches: [1, 2], values: [1, 0, 0, 0, 1, 0])[0] == 3.0 / 6)
  }

  @Test func defaultsGoByTheLoss() {
    func names(_ loss: any Loss) -> [String] { loss.defaultMeasures.map(\.name) }
    #expect(names(CrossEntropy()) == ["testLoss", "testAccuracy"])
    #expect(names(BinaryCrossEntropy()) == ["testLoss", "testAccuracy"])
    #expect(names(MeanSquaredError()) == ["testLoss", "testMeanAbsoluteError", "testR2"])
    #expect(names(Huber()).prefix(2) == ["testLoss", "testMeanAbsoluteError"])
    #expect(names(LogCosh()) == ["testLoss"])
    #expect(CrossEntropy().defaultMeasures.map(\.isLessBetter) == [true, false])
    #expect(CrossEntropy().defaultMeasures.map(\.unit) == ["nats", ""])
  }
}
