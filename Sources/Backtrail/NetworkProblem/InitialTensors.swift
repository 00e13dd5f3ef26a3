import Datasets
import Formats
import Foundation
import Replay
import Runs
import Tensors

/// The tensors of an initial state that does not follow from the seed: those of a safetensors file, which are read piece
/// by piece whenever they are needed, or tensors in memory.
public struct InitialTensors: Sendable {
  private enum Source: Sendable {
    case file(SafetensorsFile)
    case memory([NamedTensor])
  }

  private let source: Source

  /// Where the tensors come from, for messages.
  public let origin: String

  /// The digest of names, shapes and values.
  public let digest: Digest

  /// Opens a file and reads it once, for its digest.
  /// - Throws: `SafetensorsError`.
  public init(path: String) throws {
    let file = try SafetensorsFile(path: path)
    digest = try Digest(ofTensorsIn: file)
    source = .file(file)
    origin = path
  }

  /// - Parameter origin: Where they come from, for messages.
  public init(_ tensors: [NamedTensor], origin: String = "the initial state") {
    digest = Digest(ofTensors: tensors)
    source = .memory(tensors)
    self.origin = origin
  }

  /// Overwrites all tensors of a state. Counters are passed over: a state starts at update 0.
  /// - Parameter layout: The state's layout, whose tensors may have other names in the source; see `TensorMatching`.
  /// - Throws: `StateMismatch` if the tensors are not those of the layout, and if they are in a file, `SafetensorsError` if
  ///   it can't be read, and `StorageError.failed` if it has changed since it was opened.
  package func write(to state: inout StateBuffer, layout: StateLayout) throws {
    let matching = try TensorMatching(of: given, with: layout, from: origin)
    switch source {
    case .memory(let tensors):
      for target in matching.targets {
        let values = tensors[target.given].values
        try layout.write(
          target.count < values.count ? Array(values[..<target.count]) : values, from: 0, isTransposed: target.isTransposed,
          to: target.tensor, in: &state)
      }
      if let copy = matching.copy, tensors[copy.head].values != tensors[copy.embedding].values { throw copy.mismatch(in: origin) }
    case .file(let file):
      var builder = DigestBuilder()
      for (index, tensor) in file.tensors.enumerated() {
        let targets = matching.targets.filter { $0.given == index }
        builder.add(tensor)
        for piece in file.pieces(of: tensor) {
          let values = try file.values(of: tensor, in: piece)
          builder.add(values.span.bytes)
          for target in targets where piece.lowerBound < target.count {
            let rest = target.count - piece.lowerBound
            try layout.write(
              rest < values.count ? Array(values[..<rest]) : values, from: piece.lowerBound, isTransposed: target.isTransposed,
              to: target.tensor, in: &state)
          }
        }
      }
      guard builder.digest == digest else {
        throw StorageError.failed(path: origin, reason: "it changed after it was first read; bring it back, or begin again")
      }
      if let copy = matching.copy {
        guard try Self.digest(of: file.tensors[copy.head], in: file) == Self.digest(of: file.tensors[copy.embedding], in: file) else {
          throw copy.mismatch(in: origin)
        }
      }
    }
  }

  private static func digest(of tensor: SafetensorsFile.Tensor, in file: SafetensorsFile) throws -> Digest {
    var builder = DigestBuilder()
    for piece in file.pieces(of: tensor) {
      let values = try file.values(of: tensor, in: piece)
      builder.add(values.span.bytes)
    }
    return builder.digest
  }

  private var given: [TensorMatching.Given] {
    switch source {
    case .file(let file): file.tensors.map { TensorMatching.Given(name: $0.name, shape: $0.shape) }
    case .memory(let tensors): tensors.map { TensorMatching.Given(name: $0.name, shape: $0.shape) }
    }
  }

  /// Writes a file with these tensors, a copy where they are those of a file.
  /// - Throws: `SafetensorsError.cannotWrite`, and `StorageError.failed` if the file has changed since it was opened.
  func writeFile(to path: String) throws {
    switch source {
    case .memory(let tensors): try Safetensors.write(tensors, metadata: [:], to: path)
    case .file(let file):
      try file.copy(to: path)
      guard try Digest(ofTensorsIn: SafetensorsFile(path: path)) == digest else {
        throw StorageError.failed(path: origin, reason: "it changed after it was first read; bring it back, or begin again")
      }
    }
  }
}

extension InitialTensors {
  /// Opens a safetensors file, or recalls an iterate of another run.
  /// - Parameters:
  ///   - specification: A path, or RUN:ORDER:N such as `runs/a:tail:50:600`; nil gives nil.
  ///   - willReplay: Called with the iterate before it is recalled; an error that it throws prevents that.
  public static func read(
    _ specification: String?, progress: ReplayProgress = ReplayProgress(),
    willReplay: (NetworkRun, CompositionOrder, _ n: Int, _ seed: Int) throws -> Void = { _, _, _, _ in }
  ) async throws -> InitialTensors? {
    guard let specification else { return nil }
    if let (path, order, n) = iterate(in: specification) {
      let run = try NetworkRun.open(path)
      let (order, seed) = (try run.order(order), run.workload.seeds.lowerBound)
      try willReplay(run, order, n, seed)
      return InitialTensors(try await run.iterate(order, n, seed: seed, progress: progress).tensors, origin: specification)
    }
    return try InitialTensors(path: specification)
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
