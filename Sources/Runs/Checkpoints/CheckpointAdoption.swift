import Formats
import Foundation
import Replay
import Tensors

/// What a checkpoint's file says it is, so that it can be found again where the database has lost its row.
struct CheckpointLabel: Equatable {
  /// The run's.
  let identity: String
  let seed: Int
  let order: CompositionOrder
  let n: Int
  /// The rule of a running average; nil for the state itself.
  let average: String?
  /// How many running averages are stored with the state.
  let averageCount: Int

  init(_ record: CheckpointRecord, average: String? = nil, identity: String) {
    self.identity = identity
    seed = record.seed
    order = record.order
    n = record.n
    self.average = average
    averageCount = record.averages.count
  }

  /// A line a value.
  var text: String {
    [identity, String(seed), order.description, String(n), average ?? "", String(averageCount)].joined(separator: "\n")
  }

  /// Nil where the text is no label.
  init?(_ text: String) {
    let lines = text.components(separatedBy: "\n")
    guard lines.count == 6, let seed = Int(lines[1]), let n = Int(lines[3]), RowBounds.possibleSeeds.contains(seed),
      RowBounds.possibleIterates.contains(n), let averageCount = Int(lines[5]), let order = Series(lines[2])?.order
    else { return nil }
    identity = lines[0]
    self.seed = seed
    self.order = order
    self.n = n
    average = lines[4].isEmpty ? nil : lines[4]
    self.averageCount = averageCount
  }

  /// What the name of a file of the first version says, whose files have no labels.
  /// - Parameters:
  ///   - orders: the run's, one of which it is.
  ///   - averages: the run's, one of which it may be.
  init?(name: String, position: Int, orders: [CompositionOrder], averages: [String], identity: String) {
    guard let seed = name.split(separator: "-").first.flatMap({ Int($0) }) else { return nil }
    for candidate in orders {
      let front = CheckpointName.stem(seed: seed, order: candidate, n: 0, position: 0).dropLast("0-0".count)
      guard name.hasPrefix(front), let n = name.dropFirst(front.count).split(separator: "-").first else { continue }
      guard let n = Int(n), RowBounds.possibleSeeds.contains(seed), RowBounds.possibleIterates.contains(n) else { continue }
      let stem = CheckpointName.stem(seed: seed, order: candidate, n: n, position: position)
      let rules = [nil] + averages.map(Optional.some)
      guard let rule = rules.first(where: { CheckpointName.file(stem, average: $0) == name }) else { continue }
      self.identity = identity
      self.seed = seed
      order = candidate
      self.n = n
      average = rule
      averageCount = candidate == .forward ? averages.count : 0
      return
    }
    return nil
  }
}

extension RunFolder {
  /// Enters checkpoints that are whole and that no row names, as a power cut may leave them, and removes what is left of
  /// unfinished ones. Files that Backtrail did not make stay untouched.
  /// - Parameters:
  ///   - database: the run's, open for writing.
  ///   - orders: the run's, as far as they are known.
  ///   - averages: what forward's running averages are called, by rule.
  ///   - stateCount: floats of a state.
  public func adoptOrphans(
    _ database: RunDatabase, orders: [CompositionOrder], averages: [String], stateCount: Int
  ) throws(StorageError) {
    let records = try database.checkpoints()
    let named = Set(records.flatMap(\.files))
    let orphans = try checkpointFiles().filter { !named.contains($0) }
    guard !orphans.isEmpty else { return }
    let identity = try database.record().identity
    var groups: [CheckpointPlace: OrphanGroup] = [:]
    // Entered or not, these stay.
    var kept: Set<String> = []
    for file in orphans where UnfinishedFile.finalName(of: file) == nil {
      let header: CheckpointHeader
      do throws(StorageError) {
        header = try CheckpointFile.verify(checkpointPath(file))
      } catch {
        // What is out of reach for now may be whole.
        if !error.isDamage { kept.insert(file) }
        continue
      }
      let label =
        header.label.isEmpty
        ? CheckpointLabel(
          name: file, position: header.updateCount, orders: orders, averages: averages, identity: identity)
        : CheckpointLabel(header.label)
      guard let label, label.identity == identity, header.stateCount == stateCount, header.updateCount > 0 else { continue }
      guard database.hasIterate(label.n, seed: label.seed) else {
        // Of an extension whose rows are lost: it can't be entered before the run is extended again.
        kept.insert(file)
        continue
      }
      var group = OrphanGroup(seed: label.seed, order: label.order, n: label.n, position: header.updateCount)
      group = groups[group.place] ?? group
      group.files[label.average ?? ""] = (file, header)
      if label.average == nil { group.averageCount = label.averageCount }
      groups[group.place] = group
    }
    var index = CheckpointIndex(records)
    // Parents come before their differences.
    for group in groups.values.sorted(by: { $0.position < $1.position }) where index.at(group.place) == nil {
      guard let record = group.record(averages: averages, among: index) else { continue }
      try database.insert(record)
      index.insert(record)
      kept.formUnion(record.files)
    }
    for file in orphans where !kept.contains(file) { try remove(checkpointPath(file)) }
  }
}

/// Files of one place that no row names.
private struct OrphanGroup {
  let seed: Int
  let order: CompositionOrder
  let n: Int
  let position: Int
  /// By the rule of the average; the state's under the empty text.
  var files: [String: (name: String, header: CheckpointHeader)] = [:]
  /// How many averages were stored with the state.
  var averageCount = 0

  var place: CheckpointPlace {
    CheckpointPlace(path: .init(seed: seed, order: order, n: n), position: position)
  }

  /// Nil where a file is missing: that of its state, of an average, or of what it is a difference to.
  func record(averages: [String], among index: CheckpointIndex) -> CheckpointRecord? {
    guard let state = files[""] else { return nil }
    let stored = averageCount == 0 ? [] : averages.compactMap { rule in
      files[rule].map { StoredAverage(file: $0.name, digest: $0.header.digest) }
    }
    guard stored.count == averageCount else { return nil }
    var parent: CheckpointRecord?
    if let digest = state.header.parentDigest {
      parent = index.paths[place.path]?.last { $0.digest == digest && $0.position < position }
      guard parent != nil else { return nil }
    }
    let headers = [state.header] + averages.filter { averageCount > 0 && files[$0] != nil }.compactMap { files[$0]?.header }
    return CheckpointRecord(
      seed: seed, order: order, n: n, position: position, file: state.name, averages: stored, parent: parent?.position,
      bytes: headers.reduce(0) { $0 + $1.byteCount }, digest: state.header.digest)
  }
}
