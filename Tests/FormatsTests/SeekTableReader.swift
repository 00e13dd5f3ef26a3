import Testing

/// Reads the seek table of zstd's seekable format exactly as specified.
struct SeekTableReader {
  /// The bytes of each frame.
  var frames: [Range<Int>] = []
  var contentSizes: [Int] = []
  var start = 0

  init(_ file: [UInt8], checksums: Bool = true) throws {
    func number(_ place: Int) -> Int { (0..<4).reduce(0) { $0 | Int(file[place + $1]) << (8 * $1) } }
    try #require(file.count >= 17)
    try #require(number(file.count - 4) == 0x8F92_EAB1)
    try #require(file[file.count - 5] == 0x80)
    let count = number(file.count - 9)
    start = file.count - 17 - 12 * count
    try #require(number(start) == 0x184D_2A5E && number(start + 4) == 12 * count + 9)
    var place = 0
    for frame in 0..<count {
      let entry = start + 8 + 12 * frame
      frames.append(place..<place + number(entry))
      contentSizes.append(number(entry + 4))
      place += number(entry)
      try #require(!checksums || number(place - 4) == number(entry + 8), "the checksum that ends the frame")
    }
    try #require(place == start)
  }
}

func seekTableStart(_ file: [UInt8]) throws -> Int { try SeekTableReader(file).start }
