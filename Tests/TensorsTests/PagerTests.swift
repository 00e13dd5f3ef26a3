import Foundation
import Tensors
import TestSupport
import Testing

/// Buffers whose floats wait in a file: what is held is there, what is not takes no memory, and whole buffers are as any other.
@Suite struct PagerTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The floats of a page.
  private static let page = Pager.pageBytes / 4

  private func pager(of buffer: borrowing FloatBuffer) throws -> Pager {
    let pager = buffer.pager
    return try #require(pager)
  }

  private func pages(_ region: Region) -> Set<Int> {
    region.count == 0 ? [] : Set(region.offset / Self.page...(region.end - 1) / Self.page)
  }

  /// Regions are held, written and released in a random order, many at once, and every float is compared with an array.
  @Test func regionsHoldWhatWasWritten() throws {
    for seed in 0..<UInt64(cases(4, long: 40)) {
      var random = SplitMix(state: seed)
      let count = Int.random(in: 1...40 * Self.page, using: &random)
      var buffer = try FloatBuffer(count: count, pagedIn: folder.path)
      let pager = try pager(of: buffer)
      var expected = [Float](repeating: 0, count: count)
      var held: [(region: Region, isChanged: Bool)] = []
      // What has left since the pager was last idle may still be in memory.
      var leaving: Set<Int> = []
      var mostHeld = 0
      for step in 0..<300 {
        switch Int.random(in: 0..<8, using: &random) {
        case 0...2:
          let offset = Int.random(in: 0..<count, using: &random)
          let region = Region(offset: offset, count: Int.random(in: 0...min(6 * Self.page, count - offset), using: &random))
          let overwrites = Bool.random(using: &random) && !held.contains { pages($0.region).intersection(pages(region)).count > 0 }
          pager.fetch([region], overwriting: overwrites)
          if overwrites {
            try pager.wait(for: [region])
            let part = buffer.mutableVector.part(region)
            for index in 0..<part.count {
              part[index] = Float(step * 1000 + index % 977)
              expected[region.offset + index] = part[index]
            }
          }
          held.append((region, overwrites))
        case 3...5:
          guard let place = held.indices.randomElement(using: &random) else { break }
          let region = held[place].region
          try pager.wait(for: [region])
          let part = buffer.mutableVector.part(region)
          for index in 0..<part.count where part[index] != expected[region.offset + index] {
            Issue.record("seed \(seed), step \(step): float \(region.offset + index) is \(part[index])")
            return
          }
          for _ in 0..<20 where part.count > 0 {
            let index = Int.random(in: 0..<part.count, using: &random)
            part[index] = Float.random(in: -1...1, using: &random)
            expected[region.offset + index] = part[index]
          }
          held[place].isChanged = true
        default:
          guard let place = held.indices.randomElement(using: &random) else { break }
          let (region, isChanged) = held.remove(at: place)
          leaving.formUnion(pages(region))
          try pager.release([region], changed: isChanged)
        }
        if step % 17 == 0 {
          try pager.flush()
          leaving = []
        }
        let most = held.reduce(leaving) { $0.union(pages($1.region)) }.count * Pager.pageBytes
        #expect(pager.residentBytes <= most)
        mostHeld = max(mostHeld, held.reduce(into: Set()) { $0.formUnion(pages($1.region)) }.count)
        #expect(pager.peakResidentBytes <= mostHeld * Pager.pageBytes)
      }
      for (region, isChanged) in held { try pager.release([region], changed: isChanged) }
      try pager.flush()
      #expect(pager.residentBytes == 0)
      var place = 0
      try buffer.forEachPart { part, floats in
        #expect(part.offset == place)
        for index in 0..<part.count where floats[index] != expected[part.offset + index] {
          Issue.record("seed \(seed): float \(part.offset + index) is \(floats[index]), not \(expected[part.offset + index])")
          throw CancellationError()
        }
        place = part.end
      }
      #expect(place == count)
    }
  }

  /// One region after the other takes the memory of the largest, of two where the next is fetched meanwhile.
  @Test func memoryIsThatOfWhatIsHeld() throws {
    var buffer = try FloatBuffer(count: 100 * Self.page, pagedIn: folder.path)
    let pager = try pager(of: buffer)
    for round in 0..<3 {
      for first in stride(from: 0, to: 100, by: 5) {
        let region = Region(offset: first * Self.page, count: 5 * Self.page)
        try buffer.withMutablePart(region) { part in
          for index in stride(from: 0, to: part.count, by: 100) {
            #expect(part[index] == (round == 0 ? 0 : Float(round + first)))
            part[index] = Float(round + 1 + first)
          }
        }
      }
    }
    try pager.flush()
    #expect(pager.peakResidentBytes == 5 * Pager.pageBytes)
    #expect(pager.bytesWritten == 300 * Pager.pageBytes)
    // The first round finds zeros, which are nowhere.
    #expect(pager.bytesRead == 200 * Pager.pageBytes)
  }

  /// What comes in while other pages leave waits for their memory.
  @Test func memoryGoesFromWhatLeavesToWhatComesIn() throws {
    var buffer = try filled(300 * Self.page, seed: 3, isPaged: true)
    let expected = try filled(300 * Self.page, seed: 3, isPaged: false)
    let pager = try pager(of: buffer)
    // The first are of another length than the others, so that memory is parted and put together.
    let regions = stride(from: 0, to: 300, by: 30).map { Region(offset: $0 * Self.page + 5, count: ($0 == 0 ? 17 : 29) * Self.page) }
    for round in 1...3 {
      pager.fetch([regions[0]])
      for (place, region) in regions.enumerated() {
        if place + 1 < regions.count { pager.fetch([regions[place + 1]]) }
        try pager.wait(for: [region])
        let floats = buffer.mutableVector.part(region)
        for index in stride(from: 0, to: region.count, by: 1000) {
          #expect(floats[index] == expected[region.offset + index] + Float(round - 1))
          floats[index] = expected[region.offset + index] + Float(round)
        }
        try pager.release([region], changed: true)
      }
    }
    #expect(pager.peakResidentBytes == 60 * Pager.pageBytes)
    // Without a flush as well, once nothing happens any more.
    let begin = ContinuousClock.now
    while pager.residentBytes > 0, .now - begin < .seconds(20) { usleep(10_000) }
    #expect(pager.residentBytes == 0)
  }

  /// A page that is held again before it is written stays, and what is only read is not written.
  @Test func onlyWhatChangedIsWritten() throws {
    var buffer = try FloatBuffer(count: 4 * Self.page, pagedIn: folder.path)
    let pager = try pager(of: buffer)
    try buffer.forEachMutablePart(overwriting: true) { _, floats in floats.fill(3) }
    try pager.flush()
    #expect(pager.bytesRead == 0 && pager.bytesWritten == 4 * Pager.pageBytes)
    try buffer.forEachPart { _, floats in #expect(floats[0] == 3) }
    try pager.flush()
    #expect(pager.bytesRead == 4 * Pager.pageBytes && pager.bytesWritten == 4 * Pager.pageBytes)
    try buffer.clear()
    try buffer.forEachPart { _, floats in #expect((0..<floats.count).allSatisfy { floats[$0] == 0 }) }
    #expect(pager.bytesRead == 4 * Pager.pageBytes)
  }

  private func filled(_ count: Int, seed: UInt64, isPaged: Bool) throws -> FloatBuffer {
    var buffer = isPaged ? try FloatBuffer(count: count, pagedIn: folder.path) : try FloatBuffer(count: count)
    let source = RandomSource(seed: seed, purpose: .synthesis)
    try buffer.forEachMutablePart(overwriting: true) { part, floats in
      source.fillNormal(floats, batch: 0, first: part.offset, deviation: 1)
    }
    return buffer
  }

  /// Every operation on whole buffers gives the same bits, whichever of its buffers are paged, in little memory.
  @Test(arguments: [1, 5, 16_384, 100_003, 262_144, 262_145, 1_234_567])
  func pagedBuffersAreAsOthers(count: Int) throws {
    let a = try filled(count, seed: 1, isPaged: false)
    let b = try filled(count, seed: 2, isPaged: false)
    var moved = try FloatBuffer(count: count)
    try moved.copy(from: a)
    try moved.move(toward: b, by: 0.3)
    var combined = try FloatBuffer(count: count)
    try combined.assign(0.7, times: b, plus: 0)
    try combined.assign(-0.2, times: a, plus: 1)
    let expected = (try Digest(of: a), try Digest(of: moved, updateCount: 5), try Digest(of: combined), try a.distance(to: b, first: count - count / 3))
    for (firstIsPaged, secondIsPaged) in [(true, true), (true, false), (false, true)] {
      let a = try filled(count, seed: 1, isPaged: firstIsPaged)
      let b = try filled(count, seed: 2, isPaged: secondIsPaged)
      #expect(try Digest(of: a) == expected.0)
      var moved = firstIsPaged ? try FloatBuffer(count: count, pagedIn: folder.path) : try FloatBuffer(count: count)
      try moved.copy(from: a)
      try moved.move(toward: b, by: 0.3)
      #expect(try Digest(of: moved, updateCount: 5) == expected.1)
      #expect(try a.distance(to: b, first: count - count / 3) == expected.3)
      try moved.clear()
      try moved.assign(0.7, times: b, plus: 0)
      try moved.assign(-0.2, times: a, plus: 1)
      #expect(try Digest(of: moved) == expected.2)
      // The part that is worked on, those ahead, and a page that they share with others.
      let most = (1 + FloatBuffer.partsAhead) * FloatBuffer.partLength(of: count) * 4 + Pager.pageBytes
      let pagers = [a.pager, b.pager, moved.pager]
      #expect(pagers.allSatisfy { $0?.peakResidentBytes ?? 0 <= most })
    }
  }

  /// Initial values, loaded values and values of tensors, of which some are larger than a part and share pages with others.
  @Test func statesOfLayoutsAreAsOthers() throws {
    var layout = StateLayout()
    _ = layout.add("weight", shape: [700, 900], role: .parameter, storage: .inputsFirst(channels: 9), initialization: .heNormal(fan: 900))
    _ = layout.add("bias", shape: [7], role: .parameter, initialization: .constant(0.5))
    _ = layout.add("kernel", shape: [6, 5, 3, 3], role: .parameter, storage: .inputsFirst(channels: 5), initialization: .normal(deviation: 2))
    _ = layout.add("mean", shape: [300_001], role: .buffer, initialization: .normal(deviation: 1))
    var resident = try StateBuffer(count: layout.count)
    var paged = try StateBuffer(count: layout.count, pagedIn: folder.path)
    try layout.initialize(&resident, seed: 4)
    try layout.initialize(&paged, seed: 4)
    #expect(try Digest(of: paged) == (try Digest(of: resident)))
    for tensor in layout.tensors {
      let values = try layout.values(of: tensor, in: resident)
      #expect(try layout.values(of: tensor, in: paged) == values)
    }
    // Plain loops say where values lie.
    let kernel = layout.tensors[2]
    let values = try layout.values(of: kernel, in: paged)
    for output in 0..<6 {
      for channel in 0..<5 {
        for position in 0..<9 {
          #expect(values[(output * 5 + channel) * 9 + position] == resident[kernel.region.offset + (position * 5 + channel) * 6 + output])
        }
      }
    }
    let named = Dictionary(uniqueKeysWithValues: try layout.tensors.map { tensor in
      (tensor.name, (shape: tensor.shape, values: try layout.values(of: tensor, in: resident).map { $0 + 1 }))
    })
    try resident.clear()
    try paged.clear()
    try layout.load(named, from: "a test", into: &resident)
    try layout.load(named, from: "a test", into: &paged)
    #expect(try Digest(of: paged) == (try Digest(of: resident)))
    #expect(try layout.values(of: kernel, in: paged) == values.map { $0 + 1 })
    let most = (1 + FloatBuffer.partsAhead) * FloatBuffer.partLength(of: layout.count) * 4 + 2 * Pager.pageBytes
    #expect(try pager(of: paged).peakResidentBytes <= most)
  }

  @Test func aFolderThatIsNotThereIsNamed() {
    #expect { _ = try FloatBuffer(count: 10, pagedIn: folder("nowhere")) } throws: { error in
      guard case PagingError.cannotMake(let place, let reason) = error else { return false }
      return place == folder("nowhere") && reason == "No such file or directory" && "\(error)".contains("name a folder on another disk")
    }
    // More than any disk has.
    #expect { _ = try FloatBuffer(count: 1 << 43, pagedIn: folder.path) } throws: { error in
      guard case PagingError.cannotMake = error else { return false }
      return true
    }
    #expect(throws: PagingError.self) { _ = try FloatBuffer(count: .max, pagedIn: folder.path) }
  }

  #if os(Linux)
    /// Changes a byte of the one page file of the folder, as a bad disk would.
    private func flip(at offset: Int) throws {
      for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
        let link = "/proc/self/fd/\(name)"
        guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: link), target.hasPrefix(folder.path + "/") else { continue }
        let descriptor = open(link, O_RDWR)
        defer { close(descriptor) }
        var byte: UInt8 = 0
        #expect(pread(descriptor, &byte, 1, offset) == 1)
        byte ^= 4
        #expect(pwrite(descriptor, &byte, 1, offset) == 1)
        #expect(fsync(descriptor) == 0)
        return
      }
      Issue.record("there is no page file")
    }

    /// Promise "nothing unverified is used".
    @Test func aFlippedByteIsAnError() throws {
      var buffer = try filled(5 * Self.page, seed: 3, isPaged: true)
      let pager = try pager(of: buffer)
      try pager.flush()
      try flip(at: 2 * Pager.pageBytes + 12_345)
      // Other pages are what they were.
      try buffer.withPart(Region(offset: 0, count: 10)) { #expect($0[0] != 0) }
      let damage = PagingError.damaged(folder: folder.path, reason: "page 2 was read back with other bytes than were written")
      let region = Region(offset: 2 * Self.page, count: 1)
      #expect(throws: damage) { try buffer.withPart(region) { _ in Issue.record("it was used") } }
      #expect(throws: damage) { _ = try Digest(of: buffer) }
      #expect(throws: damage) { try buffer.clear() }
      #expect(throws: damage) { try pager.flush() }
      #expect("\(damage)".contains(folder.path) && "\(damage)".contains("name a folder on another disk"))
    }

    /// A file without a name goes with its process, however that ends.
    @Test func filesHaveNoName() throws {
      let buffer = try filled(3 * Self.page, seed: 3, isPaged: true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
      #expect(try pager(of: buffer).folder == folder.path)
    }

    /// The bytes of the buffer that the system has in memory.
    private func resident(_ buffer: borrowing FloatBuffer) throws -> Int {
      let start = buffer.span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
      let addresses = start..<start + UInt(buffer.count * 4)
      var isInside = false
      var kibibytes = 0
      // A read of this file gives less than was asked for, which is not its end.
      var (text, piece) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 16))
      let descriptor = open("/proc/self/smaps", O_RDONLY)
      defer { close(descriptor) }
      while case let got = read(descriptor, &piece, piece.count), got > 0 { text += piece[..<got] }
      for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
        if let place = line.split(separator: "-").first.flatMap({ UInt($0, radix: 16) }) { isInside = addresses.contains(place) }
        if isInside, line.hasPrefix("Rss:") { kibibytes += line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0 }
      }
      return kibibytes << 10
    }

    /// The memory that the system counts is what the pager says.
    @Test func theSystemHasTheMemoryBack() throws {
      let count = 1000 * Self.page
      var buffer = try FloatBuffer(count: count, pagedIn: folder.path)
      let pager = try pager(of: buffer)
      try buffer.forEachMutablePart(overwriting: true) { _, floats in floats.fill(1) }
      try pager.flush()
      #expect(try resident(buffer) == 0)
      let held = [Region(offset: 10 * Self.page, count: 7 * Self.page), Region(offset: 500 * Self.page, count: 1)]
      pager.fetch(held)
      try pager.wait(for: held)
      #expect(buffer[10 * Self.page] == 1 && buffer[500 * Self.page] == 1)
      #expect(try resident(buffer) == 8 * Pager.pageBytes)
      #expect(pager.residentBytes == 8 * Pager.pageBytes)
      try pager.release(held, changed: false)
      try pager.flush()
      #expect(try resident(buffer) == 0)
    }
  #endif
}
