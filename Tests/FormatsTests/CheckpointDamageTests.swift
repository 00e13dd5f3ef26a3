import Foundation
import Formats
import Tensors
import TestSupport
import Testing

/// Every truncation and every flipped bit is noticed and named.
@Suite final class CheckpointDamageTests {
  let folder: TemporaryFolder
  let state: [UInt32]
  let parent: FloatBuffer
  let header: CheckpointHeader
  let bytes: [UInt8]

  /// Three frames of a difference with two precisions.
  init() throws {
    folder = try TemporaryFolder()
    parent = try SampleState.trained.buffer(count: (1 << 18) + 5000)
    let state = try parent.moved(by: 1e-4)
    header = try CheckpointFile.write(
      state, updateCount: 1, parent: parent, parentDigest: try Digest(of: parent, updateCount: 0),
      options: .init(sections: [
        .init(count: (1 << 18) + 4000, precision: .float32), .init(count: 1000, precision: .bfloat16),
      ]), to: folder("whole.ckpt"))
    self.state = state.bits
    bytes = try folder.read("whole.ckpt")
  }

  /// H in the definition of the format, which is the offset of the first frame.
  var borders: [Int] {
    let tableSize = 76 + 2 * 12 + 3 * 20 + 4 + 16
    var borders = [tableSize]
    for frame in 0..<3 {
      let entry = 76 + 2 * 12 + frame * 20
      let size = bytes[entry..<entry + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
      borders.append(borders[frame] + size)
    }
    return borders
  }

  func expectDamage(_ bytes: [UInt8], _ comment: Comment, naming part: String? = nil) throws {
    let path = try folder.write(bytes, to: "damaged.ckpt")
    var decoded = try FloatBuffer(count: parent.count)
    try decoded.copy(from: parent)
    for attempt in 0..<2 {
      do throws(StorageError) {
        if attempt == 0 {
          try CheckpointFile.verify(path)
        } else {
          try CheckpointFile.read(path, into: &decoded, threads: 2)
        }
        Issue.record("nothing noticed: \(comment)")
      } catch {
        guard case .damaged(path, let reason) = error else {
          Issue.record("\(error): \(comment)")
          return
        }
        if let part { #expect(reason.contains(part), comment) }
      }
    }
  }

  @Test func theFileIsWhole() throws {
    #expect(borders.last == bytes.count)
    var decoded = try FloatBuffer(count: parent.count)
    try decoded.copy(from: parent)
    #expect(try CheckpointFile.read(folder("whole.ckpt"), into: &decoded) == header)
    #expect(decoded.bits.prefix((1 << 18) + 4000) == state.prefix((1 << 18) + 4000))
  }

  @Test func noticesTruncation() throws {
    var lengths = Array(0...borders[0] + 4)
    for border in borders { lengths += [border - 1, border, border + 1] }
    for index in 0..<100 { lengths.append(bytes.count * index / 100) }
    for length in lengths where length < bytes.count {
      try expectDamage(Array(bytes[..<length]), "cut to \(length) bytes")
    }
    try expectDamage(bytes + [0], "a byte too many")
  }

  @Test func noticesEveryBitOfTheHeader() throws {
    for bit in 0..<borders[0] * 8 {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << (bit % 8)
      try expectDamage(damaged, "bit \(bit)")
    }
  }

  @Test func namesTheFrameOfAFlippedBit() throws {
    let random = RandomSource(seed: 5, purpose: .synthesis)
    for index in 0..<600 {
      // Half of the bits are in the last frames, which are small.
      let start = index % 2 == 0 ? borders[0] : borders[1]
      let bit = start * 8 + random.index(below: (bytes.count - start) * 8, batch: index, example: 0)
      var damaged = bytes
      damaged[bit / 8] ^= 1 << (bit % 8)
      let frame = borders.lastIndex { $0 <= bit / 8 }.map { $0 + 1 } ?? 0
      try expectDamage(damaged, "bit \(bit)", naming: "frame \(frame) of 3: its checksum is wrong")
    }
  }

  /// Valid checksums over nonsense, as a faulty or malicious writer of the format could produce.
  @Test func nonsenseWithRightChecksumsIsSafe() throws {
    let random = RandomSource(seed: 6, purpose: .synthesis)
    for index in 0..<400 {
      var made = bytes
      // The change is in the sections, the sizes of frames, or the frames.
      let (start, end) = index % 2 == 0 ? (16, borders[0] - 16) : (borders[1], bytes.count)
      for change in 0..<1 + index % 5 {
        made[start + random.index(below: end - start, batch: index, example: change)] = UInt8(
          random.index(below: 256, batch: index, example: 100 + change))
      }
      for frame in 0..<3 {
        let entry = 76 + 2 * 12 + frame * 20
        made.replaceSubrange(entry + 4..<entry + 20, with: digestBytes(made[borders[frame]..<borders[frame + 1]]))
      }
      made.replaceSubrange(borders[0] - 16..<borders[0], with: digestBytes(made[..<(borders[0] - 16)]))
      let path = try folder.write(made, to: "made.ckpt")
      var decoded = try FloatBuffer(count: parent.count)
      try decoded.copy(from: parent)
      if let header = try? CheckpointFile.read(path, into: &decoded) {
        #expect(try Digest(of: decoded, updateCount: header.updateCount) == header.digest)
      }
    }
  }

  private func digestBytes(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let digest = Digest(of: Array(bytes).span.bytes)
    return [digest.low, digest.high].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
  }
}
