import Foundation
import Storage
import Tensors
import TestSupport
import Testing

private func state(_ values: [Float]) throws -> StateBuffer {
  var state = try StateBuffer(count: values.count)
  for (index, value) in values.enumerated() { state[index] = value }
  return state
}

/// Writes a state after 7 updates, alone or as the difference to a parent.
private func write(_ values: [Float], parent: [Float]? = nil, to path: String) throws -> CheckpointHeader {
  let original = try state(values)
  guard let parent else { return try CheckpointFile.write(original, updateCount: 7, to: path) }
  return try CheckpointFile.write(
    original, updateCount: 7, parent: CheckpointFile.Parent(try state(parent)), to: path)
}

/// Reads a state into a buffer that holds `values`.
private func read(_ path: String, over values: [Float]) throws -> (header: CheckpointHeader, bits: [UInt32]) {
  var held = try state(values)
  let header = try CheckpointFile.read(path, into: &held)
  return (header, (0..<held.count).map { held[$0].bitPattern })
}

/// Weights as a trained network has them.
private func trained(_ count: Int, seed: UInt64) throws -> [Float] {
  let buffer = try FloatBuffer(count: count)
  RandomSource(seed: seed, purpose: .synthesis).fillNormal(buffer.vector, batch: 0, deviation: 0.05)
  return (0..<count).map { buffer[$0] }
}

@Suite struct CheckpointFileTests {
  private let folder: TemporaryFolder
  private static let frame = 1 << 18

  init() throws { folder = try TemporaryFolder() }

  private static let special: [Float] = [
    0, -0.0, 1, -1, .infinity, -.infinity, .nan, -.nan, Float(bitPattern: 0x7FC1_2345), Float(bitPattern: 0xFF80_0001),
    .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude,
    -.greatestFiniteMagnitude, .ulpOfOne,
  ]

  @Test(arguments: [0, 1, 2, 16, 1000, frame - 1, frame, frame + 1, 2 * frame + 77])
  func statesComeBackBitForBit(count: Int) throws {
    var values = try trained(count, seed: 1)
    for (index, value) in zip(stride(from: 0, to: count, by: max(1, count / 17)), Self.special) { values[index] = value }
    let bits = values.map(\.bitPattern)
    let header = try write(values, to: folder("alone"))
    #expect(header.updateCount == 7 && header.stateCount == count && header.parent == nil)
    let found = try read(folder("alone"), over: [Float](repeating: 0, count: count))
    #expect(found.header == header)
    #expect(found.bits == bits)
    try CheckpointFile.verify(folder("alone"))

    // Against a parent: the same, near, far, and with the special values on the other side.
    for parent in [values, values.map { $0 * 1.0001 }, try trained(count, seed: 2), values.reversed()] {
      let header = try write(values, parent: parent, to: folder("difference"))
      let found = try read(folder("difference"), over: parent)
      #expect(found.header == header)
      #expect(found.bits == bits)
      guard count > 0 else { continue }
      // Another state than the parent is refused.
      var wrong = parent
      wrong[0] = wrong[0] == 3 ? 4 : 3
      #expect(throws: StorageError.self) { try read(folder("difference"), over: wrong) }
    }
  }

  @Test func sizesAreThoseOfTheBits() throws {
    let values = try trained(600_000, seed: 1)
    let raw = 4.0 * Double(values.count)
    // Normal weights: sign and mantissa are random, the exponent has about 2.5 bits.
    #expect(Double(try write(values, to: folder("alone")).fileBytes) < 0.832 * raw)
    #expect(Double(try write(values, parent: values, to: folder("same")).fileBytes) < 0.001 * raw)
    #expect(try write([Float](repeating: 0, count: values.count), to: folder("zeros")).fileBytes < 1000)
  }

  /// Each damage is named; none is read as numbers.
  @Test func damageIsNamed() throws {
    let values = try trained(3000, seed: 1)
    let parent = values.map { $0 * 1.001 }
    _ = try write(values, parent: parent, to: folder("difference"))
    _ = try write(values, to: folder("alone"))
    for name in ["difference", "alone"] {
      let bytes = try folder.read(name)
      for attempt in 0..<600 {
        var damaged = bytes
        if attempt < 500 {
          damaged[Int.random(in: 0..<bytes.count)] ^= 1 << UInt8.random(in: 0..<8)
        } else {
          damaged.removeLast(attempt == 500 ? bytes.count : Int.random(in: 1...bytes.count))
        }
        let path = try folder.write(damaged, to: "damaged")
        #expect {
          try read(path, over: parent)
        } throws: { error in
          guard case StorageError.damaged(path, _) = error else { return false }
          return true
        }
        #expect(throws: StorageError.self) { try CheckpointFile.verify(path) }
      }
    }
    #expect(throws: StorageError.self) { try CheckpointFile.verify(folder("nothing")) }
  }

  @Test func aFileIsReplacedWholeAndLeavesNothingBehind() throws {
    for count in [10, 20] {
      let values = [Float](repeating: 1, count: count)
      _ = try write(values, to: folder("a"))
      #expect(try read(folder("a"), over: values).bits == values.map(\.bitPattern))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a"])
    #expect(throws: StorageError.self) { try write([1], to: folder("none/a")) }
  }
}
