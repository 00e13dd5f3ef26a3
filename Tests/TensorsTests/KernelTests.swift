import Tensors
import Testing

/// A buffer with `values`, for views that kernels work on.
private func buffer(_ values: [Float]) throws -> FloatBuffer {
  var buffer = try FloatBuffer(count: values.count)
  for (index, value) in values.enumerated() { buffer[index] = value }
  return buffer
}

private func values(_ buffer: borrowing FloatBuffer) -> [Float] {
  (0..<buffer.count).map { buffer[$0] }
}

@Suite struct KernelTests {
  @Test func regionsAreAlignedAndApart() {
    var layout = ArenaLayout()
    let regions = [1, 16, 17, 0, 5].map { layout.reserve($0) }
    for (a, b) in zip(regions, regions.dropFirst()) {
      #expect(a.end <= b.offset)
      #expect(b.offset % FloatBuffer.alignment == 0)
    }
    #expect(layout.count >= regions[4].end)
  }

  @Test func rectifyKeepsPositivesAndNaN() throws {
    var x = try buffer([-1, 0, 2, -.infinity, .nan])
    x.mutableVector.rectify()
    #expect(values(x).prefix(4) == [0, 0, 2, 0])
    #expect(x[4].isNaN)
    var gradient = try buffer([5, 5, 5, 5])
    gradient.mutableVector.keep(where: x.vector.part(Region(offset: 0, count: 4)))
    #expect(values(gradient) == [0, 0, 5, 0])
  }

  @Test func columnSumsAreScaledAndKept() throws {
    let x = try buffer([1, 2, 3, 4, 5, 6])
    var target = try buffer([10, .nan, 30])
    let matrix = x.vector.matrix(rows: 2, columns: 3)
    matrix.addColumnSums(scaledBy: -1, to: target.mutableVector, keeping: 0)
    #expect(values(target) == [-5, -7, -9])
    matrix.addColumnSums(scaledBy: 2, to: target.mutableVector, keeping: 1)
    #expect(values(target) == [5, 7, 9])
  }

  @Test func bytesAreDividedExactly() throws {
    var x = try FloatBuffer(count: 256)
    let bytes = (0...255).map { UInt8($0) }
    x.mutableVector.copy(bytes: bytes.span, dividedBy: 255)
    for i in 0..<256 { #expect(x[i] == Float(i) / 255) }
  }

  @Test func movingTowardATarget() throws {
    var x = try buffer([0, 2])
    try x.move(toward: try buffer([4, 4]), by: 0.25)
    #expect(values(x) == [1, 2.5])
  }
}

@Suite struct DigestTests {
  /// The output of `xxhsum -H2` for these bytes.
  @Test func agreesWithTheReferenceProgram() {
    #expect(Digest(of: Array("backtrail\n".utf8).span.bytes).description == "a91f47c0501f320961a9d09d9fcd5545")
  }

  @Test func tellsStatesApart() throws {
    var state = try buffer([1, 2, 3])
    let digest = try Digest(of: state, updateCount: 5)
    #expect(try Digest(of: state, updateCount: 5) == digest)
    #expect(try Digest(of: state, updateCount: 6) != digest)
    state[1] = state[1].nextUp
    #expect(try Digest(of: state, updateCount: 5) != digest)
    #expect(try Digest(of: try buffer([0]), updateCount: 0) != Digest(of: try buffer([-0.0]), updateCount: 0))
  }
}
