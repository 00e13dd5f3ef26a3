import Formats
import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

/// Runs whose states wait in files: the same bits and the same files as with states in memory, whatever is done with the run, and
/// little of any state in memory.
@Suite struct PagedRunTests {
  private let folder: TemporaryFolder
  private let orders: [CompositionOrder] = [.forward, .backward, .tail(3)]

  init() throws { folder = try TemporaryFolder() }

  private func create(
    _ name: String, _ problem: Ripple, lanes: Int = 2
  ) throws -> Run<Ripple> {
    try Run.create(
      at: folder(name), problem, orders: orders, steps: 9, observing: .every(3), seeds: 0..<2, averages: [.uniform, .exponential(0.8)],
      budgets: Budgets(lanes: lanes, checkpoints: CheckpointPolicy(every: 3, chainLength: 2)))
  }

  private func observations(_ name: String) throws -> Set<Observation> { Set(try StoredRun(folder(name)).observations()) }

  /// The contents of all checkpoint files, by name, without the label, which holds the identity of a run.
  private func checkpoints(_ name: String) throws -> [String: [Digest]] {
    var found: [String: [Digest]] = [:]
    for file in try FileManager.default.contentsOfDirectory(atPath: folder("\(name)/checkpoints")) {
      let header = try CheckpointFile.readHeader(folder("\(name)/checkpoints/\(file)"))
      found[file] = [header.digest, header.parentDigest ?? header.digest]
    }
    return found
  }

  @Test func pagedStatesGiveTheSameRun() async throws {
    let pagers = Ripple.Pagers()
    let (resident, paged) = (Ripple(), Ripple(folder: folder.path, pagers: pagers))
    _ = try await create("resident", resident).finish()
    _ = try await create("paged", paged).finish()
    let expected = try observations("resident")
    #expect(expected.count == 2 * 3 * 5)
    #expect(try observations("paged") == expected)
    #expect(try checkpoints("paged") == (try checkpoints("resident")))

    // What a run offers afterwards.
    let (a, b) = (try Run.open(folder("resident"), resident), try Run.open(folder("paged"), paged))
    for (order, n) in [(CompositionOrder.backward, 8), (.window(2), 7), (.forward, 0)] {
      let (x, y) = (try await a.iterate(order, n, seed: 1), try await b.iterate(order, n, seed: 1))
      #expect(x.digest == y.digest && x.measurements == y.measurements)
      let name = "\(order) \(n)"
      try x.write(metadata: ["n": "\(n)"], to: folder("resident \(name)"))
      try y.write(metadata: ["n": "\(n)"], to: folder("paged \(name)"))
      let (exported, wanted) = (try folder.read("paged \(name)"), try folder.read("resident \(name)"))
      #expect(exported == wanted)
    }
    for precision in CheckpointPrecision.allCases {
      let slots = RewindSlots(memory: 2, disk: 1, precision: precision, least: .updates)
      let (x, y) = (
        try a.rewind(order: .backward, n: 7, seed: 0, slots: slots) { _ in true }, try b.rewind(order: .backward, n: 7, seed: 0, slots: slots) { _ in true }
      )
      #expect(x.states.map(\.digest) == y.states.map(\.digest) && x.states.map(\.distance) == y.states.map(\.distance))
      #expect(x.states.map(\.trainingLoss) == y.states.map(\.trainingLoss))
    }
    let sweep = try b.sweepRewinds(order: .forward, n: 4, seed: 0, request: .init(slots: [1]))
    #expect(sweep.points.count == 6 && sweep.points.allSatisfy { $0.precision != "float32" || $0.identicalStates == $0.states })
    for isExact in [false, true] {
      let profiles = [AverageProfile.rule(.uniform), .rule(.exponential(0.8))]
      let x = try await a.averages(profiles, n: 9, seeds: [0, 1], isExact: isExact)
      let y = try await b.averages(profiles, n: 9, seeds: [0, 1], isExact: isExact)
      #expect(x.averages.map(\.digest) == y.averages.map(\.digest))
    }
    #expect(try await Run.verify(folder("paged"), paged, replays: 20).damaged.isEmpty)
    // Checkpoints are of states, not of what made them.
    #expect(try await Run.verify(folder("resident"), paged, replays: 10).damaged.isEmpty)
    let file = try #require(try checkpoints("paged").keys.sorted().first)
    try folder.write([1, 2, 3], to: "paged/checkpoints/\(file)")
    let repaired = try await Run.verify(folder("paged"), paged, replays: 0, repairs: true)
    #expect(repaired.repaired.count >= 1)
    #expect(try checkpoints("paged").mapValues { $0[0] } == (try checkpoints("resident").mapValues { $0[0] }))

    // The largest tensor and its slot, or the parts that writing checkpoints holds.
    let parts = (1 + FloatBuffer.partsAhead) * CheckpointFrame.length * 4
    let most = max(2 * 300_001 * 4, parts) + 4 * Pager.pageBytes
    let peak = pagers.made.map(\.peakResidentBytes).max() ?? 0
    #expect(pagers.made.count > 20 && peak > 0 && peak <= most && most < paged.stateCount * 4)
    for pager in pagers.made { try pager.flush() }
    #expect(pagers.made.allSatisfy { $0.residentBytes == 0 })
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy { !$0.hasPrefix(".pages") })
  }

  @Test func anInterruptedRunResumes() async throws {
    _ = try await create("whole", Ripple()).finish()
    let updates = Lock(0)
    // Every tenth update cancels its lane, but for those of the last attempt.
    let isLast = Lock(false)
    let paged = Ripple(folder: folder.path) {
      guard updates.withLock({ $0 += 1; return $0 }).isMultiple(of: 10), !isLast.withLock({ $0 }) else { return }
      withUnsafeCurrentTask { $0?.cancel() }
    }
    _ = try create("stopped", paged)
    var attempts = 0
    while try StoredRun(folder("stopped")).status != "finished" {
      isLast.withLock { $0 = attempts == 4 }
      attempts += 1
      do {
        _ = try await Run.open(folder("stopped"), paged).finish(lanes: 1 + attempts % 2)
      } catch RunError.interrupted {}
    }
    #expect(attempts > 1)
    #expect(try observations("stopped") == (try observations("whole")))
  }

  /// Initial states that are kept in 16 bits wait in files too.
  @Test func roundedInitialStatesArePaged() async throws {
    _ = try await create("resident", Ripple(startPrecision: .bfloat16)).finish()
    _ = try await create("paged", Ripple(folder: folder.path, startPrecision: .bfloat16)).finish()
    #expect(try observations("paged") == (try observations("resident")))
    #expect(try checkpoints("paged") == (try checkpoints("resident")))
  }

  #if os(Linux)
    /// A byte that changes in a waiting state ends the run, which keeps what was observed and resumes to the same bits.
    @Test func aDamagedPageEndsTheRun() async throws {
      _ = try await create("whole", Ripple()).finish()
      let pages = try TemporaryFolder()
      let pagers = Ripple.Pagers()
      let updates = Lock(0)
      let problem = Ripple(folder: pages.path, pagers: pagers) {
        guard updates.withLock({ $0 += 1; return $0 }) == 25 else { return }
        for pager in pagers.made { try pager.flush() }
        try Self.flipPages(in: pages.path)
      }
      let run = try create("damaged", problem, lanes: 1)
      await #expect {
        _ = try await run.finish()
      } throws: { error in
        guard case PagingError.damaged(pages.path, _) = error else { return false }
        return "\(error)".contains("other bytes than were written")
      }
      let kept = try observations("damaged")
      #expect(!kept.isEmpty)
      let whole = try observations("whole")
      #expect(kept.isSubset(of: whole))
      _ = try await Run.open(folder("damaged"), Ripple(folder: pages.path)).finish()
      #expect(try observations("damaged") == whole)
    }

    /// Changes a byte in every page that waits in a file of the folder.
    private static func flipPages(in path: String) throws {
      for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
        let link = "/proc/self/fd/\(name)"
        guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link), target.hasPrefix(path + "/") else { continue }
        let descriptor = open(link, O_RDWR)
        defer { close(descriptor) }
        for page in 0..<Ripple().stateCount * 4 / Pager.pageBytes {
          var byte: UInt8 = 0
          guard pread(descriptor, &byte, 1, off_t(page * Pager.pageBytes + 100)) == 1 else { continue }
          byte ^= 16
          pwrite(descriptor, &byte, 1, off_t(page * Pager.pageBytes + 100))
        }
        fsync(descriptor)
      }
    }
  #endif
}
