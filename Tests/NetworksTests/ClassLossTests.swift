import Foundation
import Networks
import Tensors
import Testing

/// −(1 − p)² log p with the probability p of the class: it cares less for what is nearly right (Lin et al. 2017, "Focal loss for
/// dense object detection").
private struct Focal: ClassLoss {
  func value(_ statistics: LogitStatistics) -> Double {
    let log = Double(statistics.targetLogit) - statistics.logOfSum
    let rest = 1 - exp(log)
    return -rest * rest * log
  }

  func finishGradient(
    _ gradient: MutableVector, from first: Int, target: Int, _ statistics: LogitStatistics, times weight: Float
  ) {
    let log = Double(statistics.targetLogit) - statistics.logOfSum
    let rest = 1 - exp(log)
    let slope = Float(2 * rest * exp(log) * log - rest * rest)
    gradient.scale(by: -slope)
    if (first..<first + gradient.count).contains(target) { gradient[target - first] += weight * slope }
  }
}

/// Cross-entropy of all logits at once and in chunks of classes.
@Suite struct ClassLossTests {
  /// Predictions of random logits.
  private struct Predictions: ~Copyable {
    let (rows, classes): (Int, Int)
    var logits: FloatBuffer
    var targets: Targets

    init(rows: Int, classes: Int, deviation: Double = 4) throws {
      (self.rows, self.classes) = (rows, classes)
      let random = RandomSource(seed: 8, purpose: .synthesis)
      logits = try FloatBuffer(count: rows * classes)
      random.fillNormal(logits.mutableVector, batch: classes, deviation: deviation)
      targets = Targets(.classes, count: rows)
      for r in 0..<rows { targets.classes[r] = Int32(random.index(below: classes, batch: 1, example: r)) }
    }

    var matrix: Matrix { logits.vector.matrix(rows: rows, columns: classes) }

    /// The mean loss in nats, and the gradient of the mean, all at once.
    func whole(_ loss: some ClassLoss) throws -> (loss: Double, gradient: [Float]) {
      var sum = 0.0
      loss.sum(over: matrix, targets, into: &sum)
      var gradient = try FloatBuffer(count: rows * classes)
      gradient.mutableVector.fill(.nan)
      loss.writeGradient(
        of: matrix, targets, predictions: rows, to: gradient.mutableVector.matrix(rows: rows, columns: classes))
      return (sum / Double(rows), (0..<gradient.count).map { gradient[$0] })
    }

    /// The same from chunks that end before these classes, the gradient last chunk first.
    func chunked(_ loss: some ClassLoss, ends: [Int]) throws -> (loss: Double, gradient: [Float]) {
      let chunks = zip([0] + ends, ends).map { $0..<$1 }
      /// A chunk's logits, without gaps between rows.
      func copy(_ chunk: Range<Int>) throws -> FloatBuffer {
        var buffer = try FloatBuffer(count: rows * chunk.count)
        for r in 0..<rows { for (i, c) in chunk.enumerated() { buffer[r * chunk.count + i] = matrix[row: r][c] } }
        return buffer
      }
      var statistics = [LogitStatistics](repeating: LogitStatistics(), count: rows)
      for chunk in chunks {
        let logits = try copy(chunk)
        loss.gather(logits.vector.matrix(rows: rows, columns: chunk.count), targets, into: &statistics)
      }
      var sum = 0.0
      loss.sum(over: statistics, predictions: rows, into: &sum)
      var gradient = [Float](repeating: .nan, count: rows * classes)
      for chunk in chunks.reversed() {
        let logits = try copy(chunk)
        var part = try FloatBuffer(count: rows * chunk.count)
        loss.writeGradient(
          of: logits.vector.matrix(rows: rows, columns: chunk.count), from: chunk.lowerBound, targets, statistics,
          predictions: rows, to: part.mutableVector.matrix(rows: rows, columns: chunk.count))
        for r in 0..<rows { for (i, c) in chunk.enumerated() { gradient[r * classes + c] = part[r * chunk.count + i] } }
      }
      return (sum / Double(rows), gradient)
    }

    /// The definition in double precision: −(1 − ε) log p_c − ε / K Σ_k log p_k, as PyTorch puts it, and (p − q) / rows.
    func reference(_ loss: CrossEntropy) -> (loss: Double, gradient: [Double]) {
      let smoothing = Double(loss.labelSmoothing)
      var (sum, gradient) = (0.0, [Double]())
      for r in 0..<rows {
        let x = (0..<classes).map { Double(matrix[row: r][$0]) }
        let largest = x.max() ?? 0
        let total = x.reduce(0) { $0 + exp($1 - largest) }
        let logs = x.map { $0 - largest - log(total) }
        let target = Int(targets.classes[r])
        sum -= (1 - smoothing) * logs[target]
        if smoothing > 0 { sum -= smoothing / Double(classes) * logs.reduce(0, +) }
        for k in 0..<classes {
          let q = (k == target ? 1 - smoothing : 0) + smoothing / Double(classes)
          gradient.append((exp(logs[k]) - q) / Double(rows))
        }
      }
      return (sum / Double(rows), gradient)
    }
  }

  private static let losses = [CrossEntropy(), CrossEntropy(labelSmoothing: 0.1)]
  private static let classCounts = [1, 2, 10, 1023, 1024, 1025, 2048, 5000]

  /// The first place where two gradients of one length differ in a bit; nil if there is none.
  private func firstDifference(_ a: [Float], _ b: [Float]) -> Int? {
    a.indices.first { a[$0].bitPattern != b[$0].bitPattern }
  }

  /// Ways to cut classes into chunks: as many blocks in each as are given, in turn.
  private static func ends(_ classes: Int, blocks: [Int]) -> [Int] {
    var ends: [Int] = []
    while (ends.last ?? 0) < classes {
      ends.append(min(classes, (ends.last ?? 0) + LogitStatistics.block * blocks[ends.count % blocks.count]))
    }
    return ends
  }

  private static let classLosses: [any ClassLoss] = losses + [Focal()]

  @Test(arguments: classLosses.indices, classCounts)
  func chunksGiveTheBitsOfTheWhole(index: Int, classes: Int) throws {
    func check(_ loss: some ClassLoss) throws {
      // The largest logits stand in the first block, in the last, and in between.
      for deviation in [0.1, 4, 60] {
        let predictions = try Predictions(rows: 7, classes: classes, deviation: deviation)
        let whole = try predictions.whole(loss)
        #expect(whole.loss.isFinite)
        for blocks in [[1], [2], [3, 1], [100]] {
          let chunked = try predictions.chunked(loss, ends: Self.ends(classes, blocks: blocks))
          #expect(chunked.loss == whole.loss)
          #expect(firstDifference(chunked.gradient, whole.gradient) == nil)
        }
      }
    }
    try check(Self.classLosses[index])
  }

  @Test func aClassLossOfOnesOwn() throws {
    let check = GradientCheck(layers: [Dense(6)], inputShape: [5], batch: 4, loss: Focal(), step: 2e-3)
    for (tensor, error) in try check.errors() { #expect(error < 0.005, "\(tensor): \(error)") }
  }

  @Test(arguments: losses.indices, classCounts)
  func valuesAndGradientsAreThoseOfTheDefinition(index: Int, classes: Int) throws {
    let predictions = try Predictions(rows: 5, classes: classes)
    let (found, expected) = (try predictions.whole(Self.losses[index]), predictions.reference(Self.losses[index]))
    #expect(abs(found.loss - expected.loss) < 1e-6 * max(1, expected.loss))
    for (a, b) in zip(found.gradient, expected.gradient) { #expect(abs(Double(a) - b) < 1e-6) }
    // The gradient by each logit goes through all of them, so that it adds up to zero.
    #expect(abs(found.gradient.reduce(0) { $0 + Double($1) }) < 1e-5)
  }

  /// Every sixteenth number from the first on, from the second on, …, and then these sums, each from the first to the last.
  private func sum<Number: FloatingPoint>(_ numbers: [Number]) -> Number {
    (0..<16).reduce(0) { sum, lane in
      sum + stride(from: lane, to: numbers.count, by: 16).reduce(0) { $0 + numbers[$1] }
    }
  }

  /// Up to 1,024 classes there is one block: sums are of exponentials relative to the largest logit.
  @Test(arguments: losses.indices, [1, 3, 10, 257, 1024])
  func oneBlockIsThePlainSum(index: Int, classes: Int) throws {
    let (loss, rows) = (Self.losses[index], 6)
    let predictions = try Predictions(rows: rows, classes: classes)
    let smoothing = loss.labelSmoothing
    var (total, gradient) = (0.0, [Float]())
    for r in 0..<rows {
      let x = (0..<classes).map { predictions.matrix[row: r][$0] }
      let target = Int(predictions.targets.classes[r])
      let largest = x.max() ?? 0
      var buffer = try FloatBuffer(count: classes)
      buffer.mutableVector.assignExponentials(of: predictions.matrix[row: r], minus: largest)
      let powers = (0..<classes).map { buffer[$0] }
      var expected = Double(x[target])
      if smoothing > 0 {
        expected = (1 - Double(smoothing)) * Double(x[target]) + Double(smoothing) / Double(classes) * sum(x.map { Double($0) })
      }
      total += Elementary.log(sum(powers.map { Double($0) })) + Double(largest) - expected
      let weight = 1 / Float(rows)
      let scale = weight / sum(powers)
      for k in 0..<classes {
        var slope = powers[k] * scale
        if smoothing > 0 { slope -= weight * smoothing / Float(classes) }
        if k == target { slope -= smoothing > 0 ? weight * (1 - smoothing) : weight }
        gradient.append(slope)
      }
    }
    let whole = try predictions.whole(loss)
    #expect(whole.loss == total / Double(rows))
    #expect(firstDifference(whole.gradient, gradient) == nil)
  }

  /// The places of special logits: in the first block, in the last, and at its end.
  @Test(arguments: losses.indices, [(6, 0), (6, 5), (3000, 3), (3000, 1500), (3000, 2999)])
  func extremeLogits(index: Int, shape: (classes: Int, place: Int)) throws {
    let (loss, (classes, place)) = (Self.losses[index], shape)
    func results(_ special: Float, target: Int, rest: Float? = nil) throws -> (loss: Double, gradient: [Float]) {
      var predictions = try Predictions(rows: 1, classes: classes)
      if let rest { predictions.logits.mutableVector.fill(rest) }
      predictions.logits[place] = special
      predictions.targets.classes[0] = Int32(target)
      let (whole, chunked) = (
        try predictions.whole(loss), try predictions.chunked(loss, ends: Self.ends(classes, blocks: [1]))
      )
      #expect(whole.loss == chunked.loss || whole.loss.isNaN && chunked.loss.isNaN)
      for (a, b) in zip(whole.gradient, chunked.gradient) { #expect(a == b || a.isNaN && b.isNaN) }
      return whole
    }
    let other = place == 0 ? 1 : place - 1
    let isSmoothed = loss.labelSmoothing > 0
    // Nothing overflows: all probability is at one class, or none.
    let high = try results(1e4, target: other)
    #expect(high.loss.isFinite && high.loss > 8e3 && high.gradient.allSatisfy(\.isFinite))
    let certain = try results(1e4, target: place)
    #expect(certain.loss.isFinite && (isSmoothed || certain.loss == 0) && certain.gradient.allSatisfy(\.isFinite))
    let low = try results(-1e4, target: place)
    #expect(low.loss.isFinite && low.loss > 8e3 && low.gradient.allSatisfy(\.isFinite))
    let all = try results(1e4, target: place, rest: -1e4)
    #expect(all.loss.isFinite && all.gradient.allSatisfy(\.isFinite))
    // A class that can't be is left out, and infinitely wrong where it is the target's.
    let impossible = try results(-.infinity, target: other)
    #expect(impossible.loss.isFinite == !isSmoothed && (impossible.loss == .infinity) == isSmoothed)
    #expect(impossible.gradient.allSatisfy { $0.isFinite })
    #expect(isSmoothed || impossible.gradient[place] == 0)
    let wrong = try results(-.infinity, target: place)
    #expect(wrong.loss == .infinity && wrong.gradient.allSatisfy(\.isFinite))
    // Only one class can be.
    let only = try results(2, target: place, rest: -.infinity)
    #expect(only.gradient.allSatisfy(\.isFinite) && (isSmoothed ? only.loss == .infinity : only.loss == 0))
    for special in [Float.nan, .infinity] {
      let nothing = try results(special, target: other)
      #expect(nothing.loss.isNaN && nothing.gradient.allSatisfy(\.isNaN))
    }
    let none = try results(-.infinity, target: other, rest: -.infinity)
    #expect(none.loss.isNaN && none.gradient.allSatisfy(\.isNaN))
  }

  /// A block whose logits are all −∞ adds nothing, wherever it stands and however low the others are.
  @Test(arguments: [0, 1, 2], [Float(-3e4), 0, 3e4])
  func aBlockOfImpossibleClasses(block: Int, level: Float) throws {
    let (loss, size) = (CrossEntropy(), LogitStatistics.block)
    var predictions = try Predictions(rows: 1, classes: 3 * size)
    for c in 0..<3 * size { predictions.logits[c] = c / size == block ? -.infinity : level + Float(c % 7) }
    predictions.targets.classes[0] = Int32((block + 1) % 3 * size + 6)
    let whole = try predictions.whole(loss)
    let expected = predictions.reference(loss)
    #expect(abs(whole.loss - expected.loss) < 1e-2 && whole.loss.isFinite)
    for (a, b) in zip(whole.gradient, expected.gradient) { #expect(abs(Double(a) - b) < 1e-6) }
  }
}
