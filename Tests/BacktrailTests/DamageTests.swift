import Backtrail
import Datasets
import Formats
import Foundation
import Networks
import Replay
import Runs
import TestSupport
import Testing

/// Promise "nothing unverified is used": damage in any file of a run folder is named or does no harm.
@Suite struct DamageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func makeRun() async throws -> RunResult {
    var settings = RunSettings()
    settings.model = "mlp:4"
    settings.orders = ["forward", "tail:3"]
    settings.steps = 20
    settings.evaluate = "every:4"
    settings.evaluationExamples = 20
    settings.checkpointEvery = 5
    let first = try NetworkRun.create(at: folder("first"), RunSpecification(RunConfiguration(settings)))
    let state = try await first.iterate(.forward, 3, seed: 0)
    try Safetensors.write(try state.tensors, metadata: [:], to: folder("initial.safetensors"))
    settings.initial = folder("initial.safetensors")
    let experiment = try RunSpecification(
      RunConfiguration(settings), initial: try await InitialTensors.read(settings.initial))
    return try await NetworkRun.create(at: folder("run"), experiment).finish()
  }

  /// Performs the operations of a user on the run: showing, verifying, exporting, resuming.
  /// - Returns: The digests of the resumed run, or the error that named the damage.
  private func use(_ path: String) async -> Result<[String], any Error> {
    do {
      _ = try StoredRun(path)
      let report = try await NetworkRun.verify(path, replays: 4, repairs: true)
      let run = try NetworkRun.open(path)
      guard report.isClean else { return .failure(RunError.damaged(report.damaged.joined(separator: "\n"))) }
      guard report.damaged.isEmpty else {
        // What was repaired is intact again.
        let again = try await NetworkRun.verify(path, replays: 4, repairs: false)
        #expect(again.damaged.isEmpty)
        let result = try await run.finish()
        return .success(result.orders.flatMap(\.iterates).map(\.digest.description))
      }
      _ = try await run.iterate(.tail(3), 17, seed: 0)
      return .success(try await run.finish().orders.flatMap(\.iterates).map(\.digest.description))
    } catch {
      return .failure(error)
    }
  }

  private func isNamed(_ error: any Error) -> Bool {
    error is StorageError || error is RunFolderError || error is SafetensorsError || error is RunError || error is DatasetError
      || error is NetworkError
  }

  /// `BACKTRAIL_FLIPS=500 make test` tries 500 flips in every file.
  @Test func flippedBitsAndTruncations() async throws {
    let whole = try await makeRun()
    let expected = whole.orders.flatMap(\.iterates).map(\.digest.description)
    guard case .success(let digests) = await use(folder("run")) else {
      Issue.record("the whole run is refused")
      return
    }
    #expect(digests == expected)
    let flips = Int(ProcessInfo.processInfo.environment["BACKTRAIL_FLIPS"] ?? "") ?? 12
    let files = try FileManager.default.subpathsOfDirectory(atPath: folder("run")).filter {
      !$0.hasSuffix("lock") && FileManager.default.contents(atPath: folder("run/\($0)")) != nil
    }
    #expect(files.count > 5)
    for file in files {
      let bytes = try folder.read("run/\(file)")
      for attempt in 0..<flips + 4 where !bytes.isEmpty {
        try? FileManager.default.removeItem(atPath: folder("copy"))
        try FileManager.default.copyItem(atPath: folder("run"), toPath: folder("copy"))
        var damaged = bytes
        if attempt < flips {
          damaged[Int.random(in: 0..<bytes.count)] ^= 1 << UInt8.random(in: 0..<8)
        } else {
          damaged.removeLast(Int.random(in: 1...bytes.count))
        }
        try folder.write(damaged, to: "copy/\(file)")
        switch await use(folder("copy")) {
        case .success(let digests): #expect(digests == expected, "\(file)")
        case .failure(let error): #expect(isNamed(error), "\(file): \(error)")
        }
      }
    }
  }
}
