import Runs
import Datasets
import Formats
import Foundation
import Replay

/// Reads the initial state of a run if it does not follow from the seed.
public enum InitialTensors {
  /// Reads a safetensors file, or recalls an iterate of another run.
  /// - Parameters:
  ///   - specification: A path, or RUN:ORDER:N such as `runs/a:tail:50:600`; nil gives nil.
  ///   - willReplay: Called with the iterate before it is recalled; an error that it throws prevents that.
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

  /// Reads RUN:ORDER:N. RUN may contain colons itself: it is the shortest prefix that is the folder of a run.
  private static func iterate(in specification: String) -> (run: String, order: String, n: Int)? {
    guard !FileManager.default.fileExists(atPath: specification),
      let end = specification.lastIndex(of: ":"), let n = Int(specification[specification.index(after: end)...]), n >= 0
    else { return nil }
    let front = specification[..<end]
    let colon = front.indices.first { front[$0] == ":" && (try? RunFolder.open(String(front[..<$0]))) != nil }
    return colon.map { (String(front[..<$0]), String(front[front.index(after: $0)...]), n) }
  }
}
