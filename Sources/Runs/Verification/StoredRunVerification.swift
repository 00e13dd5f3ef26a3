import Formats
import Foundation
import Replay
import Tensors

/// The findings of `verify`.
public struct VerificationReport: Codable, Sendable {
  public internal(set) var checkpoints = 0
  /// The observations, with those of iterates that have diverged.
  public internal(set) var observations = 0
  /// The number of segments that were replayed and compared bit for bit.
  public internal(set) var replays = 0
  public internal(set) var gradientEvaluations = 0
  /// Descriptions of all damage, each naming its file or iterate.
  public internal(set) var damaged: [String] = []
  /// Descriptions of the damage that was repaired.
  public internal(set) var repaired: [String] = []

  /// Whether no damage is left.
  public var isClean: Bool { damaged.count == repaired.count }
}

extension StoredRun {
  /// Checks what can be checked of a run without its problem's code: every stored byte against its checksum, rows
  /// against their seals, and files against each other. Nothing is computed again.
  /// - Parameter repairs: Whether damaged data is removed if a resumed run can make it anew.
  public static func verify(_ path: String, repairs: Bool = false) throws -> VerificationReport {
    let folder = try RunFolder.open(path)
    let lock = try RunLock(folder)
    defer { lock.hold() }
    var verification = StoredRunVerification(folder, repairs: repairs)
    try verification.run()
    return verification.report
  }
}

/// The part of a verification that needs neither data nor problem: it compares the contents of the run's folder with
/// each other.
struct StoredRunVerification {
  let folder: RunFolder
  let repairs: Bool
  var report = VerificationReport()
  /// The checkpoints whose files do not match their rows, with those files.
  var damagedCheckpoints: [CheckpointRecord: [String]] = [:]
  /// Whether the journal is damaged but can be made again from the seeds.
  var isJournalLost = false
  /// Whether the run can be opened for replays.
  var canOpen = true

  init(_ folder: RunFolder, repairs: Bool) {
    self.folder = folder
    self.repairs = repairs
  }

  /// Checks everything, continuing after each damage.
  mutating func run() throws {
    if FileManager.default.isWritableFile(atPath: folder.path) { SlotFiles.removeAbandoned(in: folder, isAlone: true) }
    guard let database = try openedDatabase() else {
      // Without the database nothing says what these files are, but each has its own checksums.
      return checkLooseCheckpoints()
    }
    checkIntegrity(database)
    let stored = attempt { this in try RunDescription(database.record(), in: this.folder) }
    if let stored {
      database.expect(stored.bounds)
      checkInputs(stored)
      checkResult(database, stored)
    }
    if stored?.problem.hasJournal ?? true { checkJournal(stored?.inputs) }
    attempt { this in
      for row in try database.brokenRows(removes: this.repairs) {
        this.report.damaged.append("\(this.folder.databasePath): \(row)")
        if this.repairs { this.report.repaired.append("\(row): removed; 'backtrail resume' makes it anew") }
      }
    }
    guard let records = attempt({ _ in try database.checkpoints(leavesOutBroken: true) }),
      attempt({ this in try this.folder.checkCheckpointFolder() }) != nil
    else { return }
    let index = CheckpointIndex(records)
    for record in records {
      report.checkpoints += 1
      let damages = folder.damages(of: record, among: index)
      report.damaged += damages.map { "\($0)" }
      if !damages.isEmpty { damagedCheckpoints[record] = damages.map(\.path) }
    }
    if let stored { checkThatNothingIsMissing(database, stored) }
  }

  /// A finished run has a row for everything it was asked for.
  private mutating func checkThatNothingIsMissing(_ database: RunDatabase, _ stored: RunDescription) {
    guard canOpen else { return }
    attempt { this in
      let workload: Workload
      do {
        workload = try Workload(stored.workload, orderTexts: this.folder.orderTexts(of: stored))
      } catch {
        throw RunError.damaged("\(this.folder.databasePath) is damaged: its workload can't be read: \(error)")
      }
      guard try database.record().status == .finished else { return }
      let observations = try database.observations(leavesOutBroken: true)
      let diverged = try database.divergences(leavesOutBroken: true)
      let missing = workload.missing(among: observations, diverged: diverged, lanes: stored.budgets.lanes)
      this.report.damaged += missing.map { "\(this.folder.databasePath): \($0)" }
      guard this.repairs, !missing.isEmpty else { return }
      try database.update { ($0.status, $0.result) = (.unfinished, nil) }
      this.report.repaired += missing.map {
        "\($0): the run counts as unfinished, and 'backtrail resume \(this.folder.path)' observes them again"
      }
    }
  }

  /// Checks the stored result. It follows from the observations, so a damaged one can be removed.
  private mutating func checkResult(_ database: RunDatabase, _ stored: RunDescription) {
    do {
      _ = try RunResult(database.record(), of: stored, in: folder)
    } catch {
      report.damaged.append("\(error)")
      guard repairs else { return }
      attempt { this in
        try database.update { ($0.result, $0.status) = (nil, .unfinished) }
        this.report.repaired.append("\(this.folder.databasePath): the result is removed; 'backtrail resume' makes it anew")
      }
    }
  }

  /// Checks the database. Its indices follow from the rows and can be made again.
  private mutating func checkIntegrity(_ database: RunDatabase) {
    do {
      try database.checkIntegrity()
    } catch {
      guard repairs, (try? database.makeIndicesAnew()) != nil, (try? database.checkIntegrity()) != nil else { return give(up: error) }
      report.damaged.append("\(error)")
      report.repaired.append("\(folder.databasePath): its indices are made anew from its rows")
    }
  }

  /// The database; nil if it is damaged, which is then reported.
  private mutating func openedDatabase() throws -> RunDatabase? {
    do throws(StorageError) {
      return try RunDatabase.open(folder, for: repairs ? .writing : .reading)
    } catch {
      guard error.isDamage else { throw error }
      give(up: error)
      return nil
    }
  }

  /// The value of `body`; nil if it finds damage that makes replays impossible, which is then reported.
  @discardableResult
  private mutating func attempt<Value>(_ body: (inout StoredRunVerification) throws -> Value) -> Value? {
    do {
      return try body(&self)
    } catch {
      give(up: error)
      return nil
    }
  }

  private mutating func give(up error: any Error) {
    report.damaged.append("\(error)")
    canOpen = false
  }

  private mutating func checkLooseCheckpoints() {
    attempt { this in
      let damages = try this.folder.damagesOfCheckpointFiles()
      this.report.checkpoints = damages.count
      this.report.damaged += damages.compactMap { $0.map { "\($0)" } }
    }
  }

  /// Checks the files that the run was made from and keeps copies of.
  private mutating func checkInputs(_ stored: RunDescription) {
    if let expected = stored.inputs.initial {
      attempt { this in
        let path = this.folder.initialStatePath
        guard try Digest(ofTensorsIn: SafetensorsFile(path: path)) == expected else {
          throw RunError.damaged("\(path) is not the initial state that \(this.folder.path) was made from; bring it back")
        }
      }
    }
    for (place, path) in stored.workload.orderFiles {
      let copy = folder.orderPath(place)
      if FileManager.default.fileExists(atPath: copy) {
        attempt { this in _ = try this.folder.orderText(at: copy, of: path, stored.inputs) }
      } else if stored.keepsOrders ?? false, let expected = stored.inputs.files[path] {
        // The first release kept no copies.
        checkLostOrder(copy, of: path, expected)
      }
    }
  }

  /// Reports a lost copy of an order file, and restores it if the original still exists unchanged.
  private mutating func checkLostOrder(_ copy: String, of path: String, _ expected: Digest) {
    report.damaged.append("\(copy) is missing: it is the run's copy of the order file \(path)")
    guard let bytes = try? OrderFile.read(path), Digest(of: bytes.span.bytes) == expected else {
      canOpen = false
      return
    }
    guard repairs, (try? folder.keepOrder(bytes, at: copy)) != nil else { return }
    report.repaired.append("\(copy): copied from \(path) again")
  }

  /// Checks the journal. One whose batches follow from seeds can be made again, which happens when the run is opened
  /// for repair.
  private mutating func checkJournal(_ inputs: InputDigests?) {
    do {
      let journal = try BatchJournal.open(folder.journalPath)
      try journal.verify()
      if let expected = inputs?.batches, try RunJournal.batches(in: folder)?.digest != expected {
        throw RunError.damaged("\(folder.journalPath) holds other batches than those \(folder.path) was made with; bring back a copy of it")
      }
    } catch {
      report.damaged.append("\(error)")
      if inputs == nil || inputs?.batches != nil {
        canOpen = false
      } else {
        isJournalLost = true
        if repairs { report.repaired.append("\(folder.journalPath): made anew from the seeds") }
      }
    }
  }
}

extension Workload {
  /// What a finished run lacks, in words.
  fileprivate func missing(among observations: [Observation], diverged: [DivergedIterate], lanes: Int) -> [String] {
    let (selection, _, isComplete) = selection(after: observations, diverged: diverged, lanes: lanes)
    let observed = ObservedPoints(observations, diverged: diverged)
    var missing: [String] = []
    for seed in seeds {
      for (order, points) in selection.curves {
        for series in [.order(order)] + (order == .forward ? averageSeries : []) {
          let absent = observed.missing(points, of: series, seed: seed)
          guard !absent.isEmpty else { continue }
          let shown = absent.prefix(5).map(String.init).joined(separator: ", ") + (absent.count > 5 ? ", …" : "")
          missing.append("\(absent.count) of the observations of \(series) (seed \(seed)) are missing, at n = \(shown)")
        }
      }
    }
    if missing.isEmpty, !isComplete { missing.append("observations that automatic schedules need are missing") }
    return missing
  }
}
