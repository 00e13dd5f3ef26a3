import Formats
import Foundation
import Replay
import Tensors

/// The label in a checkpoint's file, which identifies the checkpoint when the database has lost its row.
struct CheckpointLabel: Equatable {
  /// The identity of the run.
  let identity: String
  let seed: Int
  let order: CompositionOrder
  let n: Int
  /// The rule of the running average that the file holds; nil if the file holds the state itself.
  let average: String?
  /// The number of running averages stored with the state.
  let averageCount: Int

  init(_ record: CheckpointRecord, average: String? = nil, identity: String) {
    self.identity = identity
    seed = record.seed
    order = record.order
    n = record.n
    self.average = average
    averageCount = record.averages.count
  }

  /// The label as it is stored: one line for each value.
  var text: String {
    [identity, String(seed), order.description, String(n), average ?? "", String(averageCount)].joined(separator: "\n")
  }

  /// Reads a label; nil if the text is not one.
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

  /// Reads the label from a file name. Files of the first format version are identified by their names alone.
  /// - Parameters:
  ///   - orders: The orders of the run; the file belongs to one of them.
  ///   - averages: The names of the run's averages; the file may hold one of them.
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
  /// Adds rows for intact checkpoints that no row names, which a power cut may leave behind, and removes the remains
  /// of unfinished ones. Files that Backtrail did not write stay untouched.
  /// - Parameters:
  ///   - orders: The orders of the run, as far as they are known.
  ///   - averages: The names of forward's running averages, in the order of the averaging rules.
  ///   - stateCount: The length of a training state, in floats.
  public func adoptOrphans(
    _ database: RunDatabase, orders: [CompositionOrder], averages: [String], stateCount: Int
  ) throws(StorageError) {
    let records = try database.checkpoints()
    let named = Set(records.flatMap(\.files))
    let orphans = try checkpointFiles().filter { !named.contains($0) }
    guard !orphans.isEmpty else { return }
    let identity = try database.record().identity
    var groups: [CheckpointPlace: OrphanGroup] = [:]
    // Files that stay on disk, whether or not a row was added for them.
    var kept: Set<String> = []
    for file in orphans where UnfinishedFile.finalName(of: file) == nil {
      let header: CheckpointHeader
      do throws(StorageError) {
        header = try CheckpointFile.verify(checkpointPath(file))
      } catch {
        // A file that can't be read for now may be intact.
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
        // The file belongs to an extension of the run whose rows are lost. It gets its row when the run is extended
        // again.
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
    // Parents come before the checkpoints that are stored as differences to them.
    for group in groups.values.sorted(by: { $0.position < $1.position }) where index.at(group.place) == nil {
      guard let record = group.record(averages: averages, among: index) else { continue }
      try database.insert(record)
      index.insert(record)
      kept.formUnion(record.files)
    }
    for file in orphans where !kept.contains(file) { try remove(checkpointPath(file)) }
  }
}

/// The files of one place that no row names.
private struct OrphanGroup {
  let seed: Int
  let order: CompositionOrder
  let n: Int
  let position: Int
  /// Each file under the name of its average; the state's file under the empty name.
  var files: [String: (name: String, header: CheckpointHeader)] = [:]
  /// The number of averages that were stored with the state.
  var averageCount = 0

  var place: CheckpointPlace {
    CheckpointPlace(path: .init(seed: seed, order: order, n: n), position: position)
  }

  /// The record of the complete checkpoint; nil if the file of its state, of one of its averages, or its parent is
  /// missing.
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
