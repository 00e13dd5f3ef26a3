import Foundation
import Replay
import TestSupport
import Tensors
import Testing

/// States of many floats, different at every update, in memory or paged; behind the numbers there are some that are none.
private struct NoiseMap: UpdateMap {
  let stateCount: Int
  let numberCount: Int
  /// Where states are paged; nil for states in memory.
  let folder: String?

  static func value(_ index: Int, after update: Int) -> Float {
    var random = SplitMix(state: UInt64(index) << 20 | UInt64(update))
    return Float.random(in: -1...1, using: &random)
  }

  func makeState() throws -> StateBuffer {
    guard let folder else { return try StateBuffer(count: stateCount) }
    return try StateBuffer(count: stateCount, pagedIn: folder)
  }

  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) throws {
    try state.forEachMutablePart(overwriting: true) { part, floats in
      for index in 0..<part.count { floats[index] = Self.value(part.offset + index, after: position + 1) }
    }
  }
}

/// Keeps the bits of observed averages, by rule and n.
private final class BitRecorder: IterateObserver {
  struct Place: Hashable {
    let rule, n: Int
  }

  let bits = Lock<[Place: [UInt32]]>([:])

  func observe(_ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Void) {}

  func observeAverage(_ index: Int, n: Int, replica: Int, state: borrowing TrainingState, workspace: inout Void) throws {
    var found: [UInt32] = []
    try state.values.forEachPart { part, floats in for index in 0..<part.count { found.append(floats[index].bitPattern) } }
    bits.withLock { [found] in $0[Place(rule: index, n: n)] = found }
  }
}

/// Running averages that are kept together have the bits of each kept alone in plain loops.
@Suite struct AverageBitTests {
  private static let rules: [AverageRule] = [.exponential(0.9), .uniform, .uniform(after: 5), .polynomial(8), .exponential(0.99)]
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The weight of the n-th state, from the rules' definitions.
  private func weight(_ rule: AverageRule, _ n: Int) -> Double {
    switch rule {
    case .exponential(let decay): (1 - decay) / (1 - pow(decay, Double(n)))
    case .polynomial(let exponent): pow(Double(n), exponent) / (1...n).reduce(0) { $0 + pow(Double($1), exponent) }
    case .uniform(let skipped): n > skipped ? 1 / Double(n - skipped) : 1
    }
  }

  @Test(arguments: [0, 1, 2, 3, 5], [false, true])
  func averagesKeptTogether(count: Int, isPaged: Bool) async throws {
    let points = [1, 2, 6, 12]
    // Longer than a block of the kernel, and several pages.
    let (length, numbers) = (20_000, 19_990)
    let rules = Array(Self.rules.prefix(count))
    var planner = ReplayPlanner(orders: [.forward, .backward], points: points)
    planner.averageCount = count
    let map = NoiseMap(stateCount: length, numberCount: numbers, folder: isPaged ? folder.path : nil)
    let recorder = BitRecorder()
    let engine = ReplayEngine(
      maps: [map], initialStates: [.made { try $0.clear() }], observer: recorder, averages: rules)
    let summary = try await engine.run(try planner.plan(), lanes: 2)
    #expect(summary.averagedStates == 12 * count && (summary.averagingSeconds > 0) == (count > 0) && summary.updateSeconds > 0)
    let found = recorder.bits.withLock { $0 }
    #expect(found.count == count * points.count)
    for (index, rule) in rules.enumerated() {
      var average = [Float](repeating: 0, count: length)
      for n in 1...12 {
        let step = Float(weight(rule, n))
        for i in 0..<length {
          let value = NoiseMap.value(i, after: n)
          average[i] = step == 1 || i >= numbers ? value : average[i] + step * (value - average[i])
        }
        if points.contains(n) { #expect(found[.init(rule: index, n: n)] == average.map(\.bitPattern), "\(rule) at \(n)") }
      }
    }
  }
}
