import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

/// Slots in blocks of codes against the code's definition, by plain loops that look at all 256 codes.
@Suite struct BlockCodeTests {
  /// What codes stand for, by code: the dynamic tree as its authors describe it, decade by decade, here by running sums of a decade's
  /// steps. Code 0 is 0, and the opposite of a code is its opposite as an 8-bit integer.
  private static func numbers(isSigned: Bool) -> [Float] {
    var positive: [Double] = []
    for decade in -6...0 {
      let count = (isSigned ? 1 : 2) << (decade + 6)
      let step = 0.9 / Double(count)
      for place in 0..<count { positive.append((0.1 + step / 2 + step * Double(place)) * pow(10, Double(decade))) }
    }
    positive = [0] + positive.sorted() + [1]
    guard isSigned else { return positive.map { Float($0) } }
    return (0..<256).map { $0 <= 128 ? Float(positive[$0]) : -Float(positive[256 - $0]) }
  }

  private static let signed = numbers(isSigned: true)
  private static let unsigned = numbers(isSigned: false)

  /// A block's scale and codes, by the definition.
  private static func encoded(_ block: ArraySlice<Float>, isSigned: Bool) -> (scale: Float, codes: [UInt8]) {
    let scale = block.map(abs).reduce(0) { $0.isFinite && $1.isFinite ? max($0, $1) : .nan }
    guard scale > 0 else { return (scale, block.map { _ in 0 }) }
    let numbers = isSigned ? signed : unsigned
    let codes = block.map { (number: Float) -> UInt8 in
      let part = Double(number / scale)
      // Differences of these floats are exact in double precision. The first of the nearest has the smaller magnitude.
      var (best, least) = (0, Double.infinity)
      for (code, other) in numbers.enumerated() {
        let distance = abs(Double(other) - part)
        if distance < least || distance == least && abs(other) < abs(numbers[best]) { (best, least) = (code, distance) }
      }
      return !isSigned && number > 0 && best == 0 ? 1 : UInt8(best)
    }
    return (scale, codes)
  }

  /// The blocks of some numbers as floats of a state.
  private static func blocks(_ numbers: [Float], isSigned: Bool) -> [UInt32] {
    stride(from: 0, to: numbers.count, by: 256).flatMap { first in
      let (scale, codes) = encoded(numbers[first..<min(first + 256, numbers.count)], isSigned: isSigned)
      let padded = codes + Array(repeating: 0, count: (4 - codes.count % 4) % 4)
      let words = stride(from: 0, to: padded.count, by: 4).map { Self.word(padded[$0..<$0 + 4]) }
      return [scale.isNaN ? 0x7fc0_0000 : scale.bitPattern] + words
    }
  }

  /// Four codes in a float's place, the first in the low byte.
  private static func word(_ codes: ArraySlice<UInt8>) -> UInt32 {
    var word: UInt32 = 0
    for code in codes.reversed() { word = word << 8 | UInt32(code) }
    return word
  }

  private static func decoded(_ blocks: [UInt32], count: Int, isSigned: Bool) -> [Float] {
    (0..<count).map { index in
      let start = index / 256 * 65
      let word = blocks[start + 1 + index % 256 / 4]
      let code = (word >> UInt32(8 * (index % 4))) & 255
      return (isSigned ? signed : unsigned)[Int(code)] * Float(bitPattern: blocks[start])
    }
  }

  private static func buffer(_ values: [Float]) throws -> FloatBuffer {
    var buffer = try FloatBuffer(count: values.count)
    for (index, value) in values.enumerated() { buffer[index] = value }
    return buffer
  }

  /// The first place where floats differ in a bit; nil where all are the same.
  private static func difference(_ found: [UInt32], _ expected: [UInt32]) -> Int? {
    found.count == expected.count ? found.indices.first { found[$0] != expected[$0] } : -1
  }

  private static func bits(_ buffer: borrowing FloatBuffer) -> [UInt32] { (0..<buffer.count).map { buffer[$0].bitPattern } }

  /// Numbers at, between and around the codes' numbers, and of every size.
  private static func samples(isSigned: Bool) -> [Float] {
    let magnitudes = isSigned ? Array(signed[0...128]) : unsigned
    var samples = magnitudes
    for (a, b) in zip(magnitudes, magnitudes.dropFirst()) {
      let middle = Float((Double(a) + Double(b)) / 2)
      samples += [middle, middle.nextUp, middle.nextDown]
    }
    let random = RandomSource(seed: 2, purpose: .synthesis)
    for index in 0..<4000 {
      let draw = random.words(batch: 1, element: index)
      samples.append(Float(exp2(-26 * Double(draw.x) / 4294967296)))
    }
    samples += [0x1p-23, Float(0x1p-23).nextDown, .leastNonzeroMagnitude, .leastNormalMagnitude]
    return isSigned ? samples + samples.map { -$0 } : samples
  }

  @Test(arguments: [true, false])
  func everyCodeHasItsNumber(isSigned: Bool) throws {
    let code = isSigned ? BlockCode.signed : .unsigned
    for scale in [1, 0.037, 3e38, 1e-41, -0.0, .nan] as [Float] {
      let codes = (0...255).map { UInt8($0) }
      let blocks = [scale.bitPattern] + stride(from: 0, to: 256, by: 4).map { Self.word(codes[$0..<$0 + 4]) }
      var found = try FloatBuffer(count: 256)
      let source = try Self.buffer(blocks.map { Float(bitPattern: $0) })
      code.decode(source.vector, into: found.mutableVector)
      guard !scale.isNaN else {
        #expect((0..<256).allSatisfy { found[$0].isNaN })
        continue
      }
      let expected = Self.decoded(blocks, count: 256, isSigned: isSigned)
      #expect(Self.difference(Self.bits(found), expected.map(\.bitPattern)) == nil)
    }
    // All different, and so a code's number is encoded as that code.
    let numbers = isSigned ? Self.signed : Self.unsigned
    #expect(Set(numbers).count == 256)
    var blocks = try FloatBuffer(count: 65)
    let source = try Self.buffer(numbers)
    code.encode(source.vector, into: blocks.mutableVector)
    #expect(Self.difference(Self.bits(blocks), Self.blocks(numbers, isSigned: isSigned)) == nil)
    #expect(Self.decoded(Self.bits(blocks), count: 256, isSigned: isSigned) == numbers)
  }

  /// Numbers in blocks whose scales are 1, so that the numbers are their own parts of it, and in blocks with other scales; whole
  /// blocks and short ones; and at every level of SIMD.
  @Test(arguments: [true, false])
  func everyNumberGetsTheNearestCode(isSigned: Bool) throws {
    let samples = Self.samples(isSigned: isSigned)
    for scale in [1, 0.3, 7e-30, 1e-42, 3e38] as [Float] {
      var numbers: [Float] = []
      for first in stride(from: 0, to: samples.count, by: 255) {
        numbers += ([1] + samples[first..<min(first + 255, samples.count)]).map { $0 * scale }
      }
      try check(numbers, isSigned: isSigned)
    }
    for count in [1, 2, 3, 4, 5, 63, 64, 255, 256, 257, 259, 511, 700] { try check(Array(samples.suffix(count)), isSigned: isSigned) }
    try check(Array(repeating: 0, count: 300), isSigned: isSigned)
    if isSigned { try check([-0.0, 0, -1, 0.5, -0.0], isSigned: true) }
  }

  private func check(_ numbers: [Float], isSigned: Bool) throws {
    let code = isSigned ? BlockCode.signed : .unsigned
    let expected = Self.blocks(numbers, isSigned: isSigned)
    let source = try Self.buffer(numbers)
    try atEveryLevel { level in
      var blocks = try FloatBuffer(count: SlotPrecision.eightBit.floatCount(of: numbers.count))
      code.encode(source.vector, into: blocks.mutableVector)
      #expect(Self.difference(Self.bits(blocks), expected) == nil, "\(level)")
      var back = try FloatBuffer(count: numbers.count)
      code.decode(blocks.vector, into: back.mutableVector)
      let decoded = Self.decoded(expected, count: numbers.count, isSigned: isSigned).map(\.bitPattern)
      #expect(Self.difference(Self.bits(back), decoded) == nil, "\(level)")
    }
  }

  /// What is not finite is not hidden, and stays in its block.
  @Test(arguments: [Float.nan, .infinity, -.infinity, -.nan, .signalingNaN])
  func aBlockThatIsNotFiniteIsNaN(bad: Float) throws {
    for isSigned in [true, false] {
      let code = isSigned ? BlockCode.signed : .unsigned
      for place in [0, 255, 256, 300, 599] {
        var numbers = (0..<600).map { Float($0) }
        numbers[place] = bad
        var blocks = try FloatBuffer(count: SlotPrecision.eightBit.floatCount(of: 600))
        let source = try Self.buffer(numbers)
        code.encode(source.vector, into: blocks.mutableVector)
        #expect(Self.difference(Self.bits(blocks), Self.blocks(numbers, isSigned: isSigned)) == nil)
        var back = try FloatBuffer(count: 600)
        code.decode(blocks.vector, into: back.mutableVector)
        #expect((0..<600).allSatisfy { back[$0].isNaN == ($0 / 256 == place / 256) })
      }
    }
  }

  /// Updates divide by the root of a second moment, so that one must not become zero beside a much larger one.
  @Test func aPositiveSecondMomentStaysPositive() throws {
    var blocks = try FloatBuffer(count: 3)
    var back = try FloatBuffer(count: 5)
    let squares = try Self.buffer([1e30, 1e-30, 0, .leastNonzeroMagnitude, 1e22])
    BlockCode.unsigned.encode(squares.vector, into: blocks.mutableVector)
    BlockCode.unsigned.decode(blocks.vector, into: back.mutableVector)
    #expect(back[0] == 1e30 && back[1] > 0 && back[2] == 0 && back[3] > 0 && back[4] == back[1])
    // What is small beside the largest first moment is zero.
    let means = try Self.buffer([1e30, 1e-30, -1e-30, 1e23, 1e25])
    BlockCode.signed.encode(means.vector, into: blocks.mutableVector)
    BlockCode.signed.decode(blocks.vector, into: back.mutableVector)
    #expect((1...3).allSatisfy { back[$0] == 0 } && back[4] > 0)
  }

  /// Some updates of each rule against decoding, the rule and encoding in plain Swift, bit for bit at every level.
  @Test(arguments: [1, 5, 256, 300, 1000])
  func updatesAreTheRulesBetweenDecodingAndEncoding(count: Int) throws {
    let random = RandomSource(seed: 4, purpose: .synthesis)
    func draw(_ batch: Int) throws -> [Float] {
      var buffer = try FloatBuffer(count: count)
      random.fillNormal(buffer.mutableVector, batch: batch, deviation: 1)
      // Gradients of very different sizes, some of them zero.
      return (0..<count).map { $0 % 7 == 3 ? 0 : buffer[$0] * Float(exp2(-Double($0 % 23))) }
    }
    let (mu, rate, beta1, beta2, scale, epsilon) = (Float(0.9), Float(0.1), Float(0.9), Float(0.99), Float(1.5), Float(1e-8))
    let start = try draw(0)
    let size = SlotPrecision.eightBit.floatCount(of: count)

    /// A parameter and its slots after five updates by a rule for one number, which gets θ, g and both slots.
    func expected(_ rule: (inout Float, Float, inout Float, inout Float) -> Void) throws -> [UInt32] {
      var parameter = start
      var (first, second) = ([UInt32](repeating: 0, count: size), [UInt32](repeating: 0, count: size))
      for update in 1...5 {
        let gradient = try draw(update)
        var means = Self.decoded(first, count: count, isSigned: true)
        var squares = Self.decoded(second, count: count, isSigned: false)
        for index in 0..<count { rule(&parameter[index], gradient[index], &means[index], &squares[index]) }
        (first, second) = (Self.blocks(means, isSigned: true), Self.blocks(squares, isSigned: false))
      }
      return parameter.map(\.bitPattern) + first + second
    }
    func check(
      _ expected: [UInt32], _ what: String, _ update: (inout FloatBuffer, borrowing FloatBuffer, inout FloatBuffer, inout FloatBuffer) -> Void
    ) throws {
      var parameter = try Self.buffer(start)
      var first = try FloatBuffer(count: size)
      var second = try FloatBuffer(count: size)
      for number in 1...5 {
        let gradient = try Self.buffer(draw(number))
        update(&parameter, gradient, &first, &second)
      }
      #expect(Self.difference(Self.bits(parameter) + Self.bits(first) + Self.bits(second), expected) == nil, "\(what)")
    }
    func slot(_ buffer: inout FloatBuffer) -> SlotVector { SlotVector(buffer.mutableVector, count: count, .eightBit) }

    let momentum = try expected { x, g, v, _ in
      v = mu * v + g
      x -= rate * v
    }
    let nesterov = try expected { x, g, v, _ in
      v = mu * v + g
      x -= rate * (g + mu * v)
    }
    let adam = try expected { x, g, m, s in
      m += (1 - beta1) * (g - m)
      s = beta2 * s + (1 - beta2) * g * g
      x -= rate * m / (scale * s.squareRoot() + epsilon)
    }
    let rmsprop = try expected { x, g, _, s in
      s = beta2 * s + (1 - beta2) * g * g
      x -= rate * g / (s.squareRoot() + epsilon)
    }
    try atEveryLevel { level in
      try check(momentum, "momentum, \(level)") { x, g, v, _ in
        OptimizerKernels.momentum(x.mutableVector, g.vector, velocity: slot(&v), rate: rate, mu: mu)
      }
      try check(nesterov, "nesterov, \(level)") { x, g, v, _ in
        OptimizerKernels.nesterov(x.mutableVector, g.vector, velocity: slot(&v), rate: rate, mu: mu)
      }
      try check(adam, "adam, \(level)") { x, g, m, s in
        OptimizerKernels.adam(
          x.mutableVector, g.vector, mean: slot(&m), square: slot(&s), rate: rate, beta1: beta1, beta2: beta2, squareScale: scale,
          epsilon: epsilon)
      }
      try check(rmsprop, "rmsprop, \(level)") { x, g, _, s in
        OptimizerKernels.rmsprop(x.mutableVector, g.vector, square: slot(&s), rate: rate, alpha: beta2, epsilon: epsilon)
      }
    }
  }
}
