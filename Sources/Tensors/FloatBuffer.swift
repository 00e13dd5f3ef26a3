import CKernels
import Foundation

/// A zero-filled block of floats with one owner, aligned to 64 bytes: a cache line, and the widest SIMD register.
///
/// Buffers are allocated before a loop and reused inside it. They can't be copied by accident: a copy is an explicit
/// `copy(from:)` into a buffer that exists already.
///
/// The floats of a *paged* buffer wait in a file. It has a `pager`, and only what that holds is in memory, at the place where it
/// always is: `vector`, `mutableVector`, both spans and the subscript may be used for held floats, and touching others ends the
/// process. `withPart`, `forEachPart` and their like hold what they give; the operations on whole buffers below go part by part.
///
/// It is Sendable although it holds a pointer, because it is the pointer's only owner: the type is not copyable, so moving
/// a buffer to another thread takes it away from the first. Threads that borrow one together only read it, because
/// `mutableSpan` and `mutableVector` need it exclusively; and views are not Sendable, so that they stay on the thread that made them.
public struct FloatBuffer: ~Copyable, @unchecked Sendable {
  /// Length in floats.
  public let count: Int
  let base: UnsafeMutablePointer<Float>
  /// Brings floats in from a file; nil where all are in memory.
  public let pager: Pager?

  /// The alignment of every buffer, and of every region an `ArenaLayout` hands out, in floats.
  public static let alignment = 16

  /// Makes a buffer of `count` floats, all 0.
  /// - Throws: `TensorError.outOfMemory` when the system does not have `4 · count` bytes to give.
  public init(count: Int) throws(TensorError) {
    precondition(count >= 0, "a buffer has no negative length")
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    guard !overflow, SystemMemory.has(bytes) else { throw .outOfMemory(bytes: overflow ? .max : bytes) }
    var raw: UnsafeMutableRawPointer?
    guard posix_memalign(&raw, Self.alignment * MemoryLayout<Float>.stride, bytes) == 0, let raw else {
      throw .outOfMemory(bytes: bytes)
    }
    memset(raw, 0, bytes)
    self.count = count
    base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
    pager = nil
  }

  /// Makes a buffer of `count` floats, all 0, that wait in a file without a name. No memory is taken for them.
  /// - Parameter folder: Where the file is made. All the space that it needs is taken from the disk at once.
  /// - Throws: `PagingError.cannotMake`.
  public init(count: Int, pagedIn folder: String) throws(PagingError) {
    precondition(count >= 0, "a buffer has no negative length")
    let pager = try Pager(count: count, folder: folder)
    self.count = count
    base = pager.base
    self.pager = pager
  }

  deinit {
    // The memory of a paged buffer goes with its pager.
    if pager == nil { free(base) }
  }

  /// Returns memory to the system that the process has freed but kept for later allocations, such as what was needed to read a
  /// data set.
  public static func returnFreedMemory() { ck_return_freed_memory() }

  /// The floats, for reading.
  public var span: Span<Float> {
    @_lifetime(borrow self)
    borrowing get {
      let span = unsafe Span(_unsafeStart: UnsafePointer(base), count: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The floats, for writing.
  public var mutableSpan: MutableSpan<Float> {
    @_lifetime(&self)
    mutating get {
      let span = unsafe MutableSpan(_unsafeStart: base, count: count)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  public subscript(index: Int) -> Float {
    get {
      precondition(index >= 0 && index < count, "index outside the buffer")
      return base[index]
    }
    set {
      precondition(index >= 0 && index < count, "index outside the buffer")
      base[index] = newValue
    }
  }

  /// Overwrites all floats from `start` on with those of `source`, which has the same length.
  public mutating func copy(from source: borrowing FloatBuffer, startingAt start: Int = 0) throws(PagingError) {
    precondition(count == source.count, "buffers differ in length")
    precondition((0...count).contains(start), "a buffer has no floats behind its end")
    let (to, from) = (base, source.base)
    let region = Region(offset: start, count: count - start)
    try Self.forEachPart(of: region, in: [paged(.overwrite), source.paged(.read)]) { part in
      memcpy(to + part.offset, from + part.offset, part.count * MemoryLayout<Float>.stride)
    }
  }

  /// Overwrites all floats with a region of `source`, which is as long.
  public mutating func copy(_ region: Region, of source: borrowing FloatBuffer) throws(PagingError) {
    precondition(count == region.count && pager == nil, "a buffer in memory, as long as the region")
    let (to, from) = (base, source.base)
    try Self.forEachPart(of: region, in: [source.paged(.read)]) { part in
      memcpy(to + part.offset - region.offset, from + part.offset, part.count * MemoryLayout<Float>.stride)
    }
  }

  /// Makes all floats 0. No part of a paged buffer may be held, unless it is kept.
  public mutating func clear() throws(PagingError) {
    guard let pager else { return base.update(repeating: 0, count: count) }
    guard try !pager.clear() else { return }
    let floats = base
    try Self.forEachPart(of: whole, in: [paged(.overwrite)]) { part in (floats + part.offset).update(repeating: 0, count: part.count) }
  }

  /// Moves floats towards those of `target` by the fraction `weight`: x ← x + w (t − x).
  /// - Parameter length: how many of the first floats are moved; nil for all.
  public mutating func move(toward target: borrowing FloatBuffer, by weight: Float, first length: Int? = nil) throws(PagingError) {
    try Self.move([moved(by: weight)], toward: target, first: length)
  }

  /// A buffer that `move(_:toward:first:)` changes, which is held exclusively for as long as this is used.
  package struct Moved {
    fileprivate let floats: MutableVector
    fileprivate let paged: PagedUse?
    fileprivate let weight: Float
  }

  /// The buffer, to be moved by the fraction `weight`.
  package mutating func moved(by weight: Float) -> Moved {
    Moved(floats: mutableVector, paged: paged(.change), weight: weight)
  }

  /// Moves floats of several buffers towards those of `target`: x ← x + w (t − x), each by its own fraction w. Buffers in memory are moved
  /// together, so that the target is read once; paged ones one after the other, since only two have room for their parts.
  /// - Parameter length: how many of the first floats are moved; nil for all.
  package static func move(
    _ buffers: [Moved], toward target: borrowing FloatBuffer, first length: Int? = nil
  ) throws(PagingError) {
    let region = target.beginning(length)
    let isPaged = target.pager != nil || buffers.contains { $0.paged != nil }
    for group in isPaged ? buffers.map({ [$0] }) : [buffers] {
      for buffer in group { precondition(buffer.floats.count == target.count, "buffers differ in length") }
      let (t, weights) = (target.base, group.map(\.weight))
      try forEachPart(of: region, in: group.map(\.paged) + [target.paged(.read)]) { part in
        let places = group.map { Optional($0.floats.base + part.offset) }
        ck_move(places, weights, weights.count, t + part.offset, part.count)
      }
    }
  }

  /// self ← keep · self + factor · other, both of the same length. With keep = 0, old values are not read.
  /// - Parameter length: how many of the first floats are assigned; nil for all.
  public mutating func assign(
    _ factor: Float, times other: borrowing FloatBuffer, plus keep: Float, first length: Int? = nil
  ) throws(PagingError) {
    precondition(count == other.count, "buffers differ in length")
    let (to, from) = (mutableVector, other.vector)
    try Self.forEachPart(of: beginning(length), in: [paged(keep == 0 ? .overwrite : .change), other.paged(.read)]) { part in
      to.part(part).assign(factor, times: from.part(part), plus: keep)
    }
  }

  /// The Euclidean distance to `other`, of the same length, summed in double precision from first to last.
  /// - Parameter length: how many of the first floats are compared; nil for all.
  public func distance(to other: borrowing FloatBuffer, first length: Int? = nil) throws(PagingError) -> Double {
    precondition(count == other.count, "buffers differ in length")
    let (x, y) = (base, other.base)
    var squares = 0.0
    try Self.forEachPart(of: beginning(length), in: [paged(.read), other.paged(.read)]) { part in
      for i in part.offset..<part.end {
        let difference = Double(x[i]) - Double(y[i])
        squares += difference * difference
      }
    }
    return squares.squareRoot()
  }

  /// Whether no float is infinite or NaN.
  /// - Parameter length: how many of the first floats are looked at; nil for all.
  public func isFinite(first length: Int? = nil) throws(PagingError) -> Bool {
    let x = base
    // An exponent of ones alone carries into the highest bit.
    var carry: UInt32 = 0
    try Self.forEachPart(of: beginning(length), in: [paged(.read)]) { part in
      for i in part.offset..<part.end { carry |= (x[i].bitPattern & 0x7F80_0000) &+ 0x0080_0000 }
    }
    return carry >> 31 == 0
  }

  /// The first floats.
  /// - Parameter length: how many; nil for all.
  private func beginning(_ length: Int?) -> Region {
    precondition((0...count).contains(length ?? count), "a buffer has no more floats than it is long")
    return Region(offset: 0, count: length ?? count)
  }

  /// All floats, for kernels that read them. The caller keeps the buffer for as long as the view is used, and does not write
  /// to it in that time.
  public var vector: Vector { Vector(base: base, count: count) }

  /// All floats, for kernels that write to them. It needs exclusive access, so that a borrowed buffer has no such view. The caller
  /// keeps the buffer, exclusively, for as long as the view is used.
  public var mutableVector: MutableVector {
    mutating get { MutableVector(base: base, count: count) }
  }
}

/// The training state of DESIGN's vocabulary without its update count: parameters, optimizer slots and persistent
/// buffers, one after the other.
public typealias StateBuffer = FloatBuffer

/// What can go wrong below the level of networks and files.
public enum TensorError: Error, Equatable, CustomStringConvertible {
  case outOfMemory(bytes: Int)

  public var description: String {
    switch self {
    case .outOfMemory(let bytes):
      "the system has no \(bytes) bytes to give: use fewer lanes, a smaller batch or a smaller model"
    }
  }
}
