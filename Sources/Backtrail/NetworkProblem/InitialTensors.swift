import Runs
import Datasets
import Formats
import Foundation
import Replay

/// What a run starts from where that is not its seed's state.
public enum InitialTensors {
  /// Reads a safetensors file, or brings back an iterate of another run.
  /// - Parameters:
  ///   - specification: a path, or RUN:ORDER:N such as `runs/a:tail:50:600`; nil gives nil.
  ///   - progress: told of the updates of a replay.
  ///   - willReplay: told which iterate is brought back; what it throws ends the reading before that.
  public static func read(
    _ specification: String?, progress: ReplayProgress = ReplayProgress(),
    willReplay: (NetworkRun, CompositionOrder, _ n: Int, _ seed: Int) throws -> Void = { _, _, _, _ in }
  ) async throws -> [NamedTensor]? {
    guard let specification else { return nil }
    if let (path, order, n) = iterate(in: specification) {
      let run = try NetworkRun.open(path)
      let (order, seed) = (try run.order(order), run.workload.seeds.lowerBound)
      try willReplay(run, order, n, seed)
      return try await run.iterate(order, n, seed: seed, progress: progress).tensors
    }
    return try Safetensors.read(path: specification)
  }

  /// RUN may hold colons itself: it is the shortest beginning that is a run's folder.
  private static func iterate(in specification: String) -> (run: String, order: String, n: Int)? {
    guard !FileManager.default.fileExists(atPath: specification),
      let end = specification.lastIndex(of: ":"), let n = Int(specification[specification.index(after: end)...]), n >= 0
    else { return nil }
    let front = specification[..<end]
    let colon = front.indices.first { front[$0] == ":" && (try? RunFolder.open(String(front[..<$0]))) != nil }
    return colon.map { (String(front[..<$0]), String(front[front.index(after: $0)...]), n) }
  }
}
