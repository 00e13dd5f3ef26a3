import Foundation
import Replay
import Synchronization
import Tensors
import Testing

/// θ ↦ θ + η (x_j − θ), with x_j the j-th of a stream of random numbers.
struct RunningMean: UpdateMap {
  let stateCount = 1
  func apply(batch: Int, position: Int, to state: inout StateBuffer, workspace: inout Void) {
    let x = RandomSource(seed: 1, purpose: .synthesis).index(below: 1000, batch: batch, example: 0)
    state[0] += 0.1 * (Float(x) - state[0])
  }
}

final class Printer: IterateObserver {
  let lines = Mutex<[String]>([])
  func observe(_ iterates: [Iterate], replica: Int, state: borrowing TrainingState, workspace: inout Void) {
    let value = state.values[0]
    lines.withLock { for iterate in iterates { $0.append("order \(iterate.order), n \(iterate.n): \(value)") } }
  }
}

func compareOrders() async throws -> [String] {
  let plan = try ReplayPlanner(orders: [.forward, .backward, .tail(20)], points: Array(190...200)).plan()
  let printer = Printer()
  let engine = ReplayEngine(maps: [RunningMean()], initialStates: [.kept(try StoredState(count: 1))], observer: printer)
  let summary = try await engine.run(plan, lanes: 2)
  return printer.lines.withLock { $0 } + ["\(summary.gradientEvaluations) gradient evaluations"]
}

@Suite struct ReadmeExampleTests {
  @Test func theExampleDoesWhatItSays() async throws {
    let lines = try await compareOrders()
    #expect(lines.count == 3 * 11 + 1)
    // Forward takes 200 updates, backward 190 + … + 200, and tail 200 − 20 and 11 times 20.
    #expect(lines.last == "\(200 + 195 * 11 + 180 + 220) gradient evaluations")
    func range(_ order: Int) -> Float {
      let values = lines.filter { $0.hasPrefix("order \(order),") }.compactMap { $0.split(separator: " ").last.flatMap { Float($0) } }
      return (values.max() ?? 0) - (values.min() ?? 0)
    }
    #expect(range(0) > 20)
    #expect(range(1) < 0.001)
  }

  /// The program in the README is one that `make examples` builds and runs.
  @Test func theReadmeShowsAnExample() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    let example = try String(contentsOf: root.appendingPathComponent("Examples/own-map/main.swift"), encoding: .utf8)
    #expect(readme.contains(example))
  }
}
