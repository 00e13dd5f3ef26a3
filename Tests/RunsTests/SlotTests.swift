import Formats
import Foundation
import Replay
import Runs
import Tensors
import TestSupport
import Testing

@Suite struct SlotTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var run: RunFolder { RunFolder(path: folder.path) }

  private var slotFolders: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasPrefix("slots") }.sorted()
  }

  /// A state with all kinds of floats, including those around ties and at the limits of 16 bits.
  private func state() throws -> TrainingState {
    let patterns = FloatPatterns.aroundTies
    var values = try StateBuffer(count: patterns.count)
    for (index, pattern) in patterns.enumerated() { values[index] = Float(bitPattern: pattern) }
    return TrainingState(values: values, updateCount: 12)
  }

  private func roundTrip(
    _ state: borrowing TrainingState, through slots: any SlotStorage, slot: Int = 0
  ) throws -> TrainingState {
    try slots.save(state, slot: slot)
    var loaded = TrainingState(values: try StateBuffer(count: state.values.count))
    try slots.load(slot: slot, into: &loaded)
    #expect(loaded.updateCount == 12)
    return loaded
  }

  /// In memory and in files, the leading floats are rounded to the precision, and the others are unchanged.
  @Test(arguments: [CheckpointPrecision.bfloat16, .float16], [0, 1, 7, 4096, 210_752])
  func slotsRoundWhatTheyAreToldTo(precision: CheckpointPrecision, roundedCount: Int) throws {
    let state = try state()
    let count = state.values.count
    #expect(count == 210_752)
    let packed = try PackedSlots(count: 2, stateCount: count, roundedCount: roundedCount, precision: precision)
    let bytes: Int = (roundedCount + 1) / 2 * 4 + (count - roundedCount) * 4
    #expect(PackedSlots.bytesPerSlot(stateCount: count, roundedCount: roundedCount) == bytes)
    let files = try SlotFiles.ofReader(run, rounded: CheckpointSection(count: roundedCount, precision: precision))
    let slots: [any SlotStorage] = [packed, files]
    for slots in slots {
      let loaded = try roundTrip(state, through: slots, slot: 1)
      for index in 0..<count {
        let exact = state.values[index]
        let expected = index < roundedCount ? precision.rounded(exact) : exact
        guard loaded.values[index].bitPattern != expected.bitPattern else { continue }
        Issue.record("\(type(of: slots)), float \(index): \(loaded.values[index]), not \(expected)")
        break
      }
      // What was rounded once is kept unchanged.
      let again = try roundTrip(loaded, through: slots)
      let digests = try [loaded.digest, again.digest]
      #expect(digests[0] == digests[1])
    }
  }

  @Test func sixteenBitsTakeTwoBytesAFloat() throws {
    var values = try StateBuffer(count: 300_000)
    RandomSource(seed: 1, purpose: .synthesis).fillNormal(values.mutableVector, batch: 0, deviation: 0.05)
    let state = TrainingState(values: values, updateCount: 12)
    for (precision, bytes) in [(CheckpointPrecision.float32, 4), (.bfloat16, 2), (.float16, 2)] {
      let files = try SlotFiles.ofReader(run, rounded: CheckpointSection(count: 300_000, precision: precision))
      try files.save(state, slot: 3)
      let size = try files.bytes(slot: 3)
      #expect(size <= bytes * 300_000 + 200)
      #expect(size == (try folder.read("\(slotFolders[0])/3.ckpt").count))
      files.removeAll()
    }
    #expect(slotFolders.isEmpty)
  }

  /// The slots of a live reader are left alone by others, including training; those of a dead one are removed.
  @Test func abandonedFoldersGoAndOthersStay() throws {
    let state = TrainingState(values: try StateBuffer(count: 5), updateCount: 12)
    var first: SlotFiles? = try SlotFiles.ofReader(run)
    try first?.save(state, slot: 0)
    let held = slotFolders
    #expect(held.count == 1)
    let abandoned = "slots-\(UUID().uuidString)"
    for name in [abandoned, "slots-mine"] {
      try FileManager.default.createDirectory(atPath: folder(name), withIntermediateDirectories: true)
    }
    try folder.write("half a state", to: "\(abandoned)/0.ckpt.\(UUID().uuidString).partial")
    // Files that are not Backtrail's stay.
    try folder.write("mine", to: "slots-mine/0.ckpt")
    try FileManager.default.createDirectory(atPath: folder("slots"), withIntermediateDirectories: true)
    let second = try SlotFiles.ofReader(run)
    #expect(slotFolders.count == 4 && !slotFolders.contains(abandoned))
    SlotFiles.removeAbandoned(in: run)
    #expect(slotFolders.contains("slots"))
    SlotFiles.removeAbandoned(in: run, isAlone: true)
    #expect(slotFolders.count == 3 && !slotFolders.contains("slots"))
    if let first { _ = try roundTrip(state, through: first) }
    second.removeAll()
    #expect(slotFolders.filter { $0 != "slots-mine" } == held)
    // Releasing the slots without removing them looks as if their process had ended.
    first = nil
    SlotFiles.removeAbandoned(in: run)
    #expect(slotFolders == ["slots-mine"] && FileManager.default.fileExists(atPath: folder("slots-mine/0.ckpt")))
  }

  @Test func aFolderThatCannotBeWrittenToIsNamed() {
    #expect {
      try SlotFiles.ofReader(RunFolder(path: folder("nowhere")))
    } throws: { error in
      guard case RunFolderError.noSlotFiles(let path, _) = error else { return false }
      return path.hasPrefix(folder("nowhere/slots-")) && "\(error)".contains("slots in memory")
    }
  }
}
