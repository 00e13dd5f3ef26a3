import Foundation
import TestSupport
import Testing

/// Calls on the files of paged states fail, or the process is killed: the run ends with an error that names the folder, keeps what
/// was observed, goes on to the same bits, and leaves nothing behind.
@Suite(.serialized, .enabled(if: FaultLibrary.path != nil, "there is no C compiler to build the fault library with"))
struct PagingFaultTests {
  private let folder: TemporaryFolder
  private static let program = Command.executable.deletingLastPathComponent().appendingPathComponent("PagedRun")

  init() throws {
    folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder("pages"), withIntermediateDirectories: true)
  }

  private var pageFiles: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: folder("pages")) } }

  private func train(
    _ run: String, log: String? = nil, failing: (kind: FaultLibrary.Kind, call: Int)? = nil
  ) throws -> Command {
    try FaultLibrary.run(
      Self.program, [folder(run), folder("pages")], in: folder.path, root: folder("pages"), log: log, failing: failing)
  }

  private func lines(_ command: Command) -> Set<Substring> { Set(command.output.split(separator: "\n")) }

  @Test(arguments: [FaultLibrary.Kind.inputOutput, .noSpace, .shortWrite, .failedRead, .kill])
  private func everyCall(kind: FaultLibrary.Kind) throws {
    let whole = try train("whole", log: folder("log"))
    #expect(whole.status == 0, "\(whole.errors)")
    let expected = lines(whole)
    #expect(expected.count == 16)
    func calls(_ log: String) throws -> (writes: Int, reads: Int) {
      try FileLog(path: folder(log), hasReads: true).events.reduce(into: (0, 0)) { counts, event in
        if case .write = event { counts.0 += 1 }
        if case .read = event { counts.1 += 1 }
      }
    }
    let (writes, reads) = try calls("log")
    #expect(writes > 50 && reads > 50)
    // A page that is held again before it is written is not, so that the number of calls differs from run to run.
    let count = (kind == .failedRead ? reads : writes) * 3 / 4
    var random = SplitMix(state: 5)
    for call in runsAtLength ? Array(1...count) : [1] + (2...count).shuffled(using: &random).prefix(2) {
      let stopped = try train("run", log: folder("calls"), failing: (kind, call))
      let made = try calls("calls")
      try FileManager.default.removeItem(atPath: folder("calls"))
      switch kind {
      // What a write did not accept is written again.
      case .shortWrite: #expect(stopped.status == 0, "call \(call): \(stopped.errors)")
      case _ where stopped.status == 0: #expect((kind == .failedRead ? made.reads : made.writes) < call, "call \(call)")
      case .kill: #expect(stopped.status == SIGKILL)
      default:
        #expect(stopped.status == 74, "call \(call): \(stopped.status) \(stopped.errors)")
        #expect(stopped.errors.contains(folder("pages")), "call \(call): \(stopped.errors)")
      }
      #expect(try pageFiles.isEmpty)
      let seen = lines(stopped)
      #expect(seen.isSubset(of: expected), "call \(call)")
      let again = try train("run")
      #expect(again.status == 0, "call \(call): \(again.errors)")
      #expect(seen.union(lines(again)) == expected || kind == .kill, "call \(call)")
      // What was committed and not printed any more is not observed again.
      #expect(lines(again).isSubset(of: expected), "call \(call)")
      let whole = try Command(["runs", "show", "whole", "--json"], in: folder.path)
      let finished = try Command(["runs", "show", "run", "--json"], in: folder.path)
      let (found, wanted) = (try finished.text("observations"), try whole.text("observations"))
      #expect(found == wanted, "call \(call)")
      try FileManager.default.removeItem(atPath: folder("run"))
    }
  }
}
