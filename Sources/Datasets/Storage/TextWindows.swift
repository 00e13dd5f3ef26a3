import Tensors

/// The numbers of a text's characters or tokens, in memory or in a file.
struct NumberedText: Sendable {
  enum Place: Sendable {
    case memory([UInt16])
    /// Numbers of 2 bytes each, little-endian, of which the first begins at byte `offset`.
    case file(StoredFile, offset: Int)
  }

  let place: Place
  let count: Int
  /// The file it was read from, for messages.
  let path: String
  /// For each number in the file the one that it stands for; nil if each stands for itself.
  var meaning: [UInt16]?

  /// The size in bytes of what is in memory.
  var byteCount: Int {
    let numbers = if case .memory(let numbers) = place { numbers.count } else { meaning?.count ?? 0 }
    return numbers * MemoryLayout<UInt16>.stride
  }

  /// A part of it, of which what is in memory is a copy.
  func part(_ range: Range<Int>) -> NumberedText {
    switch place {
    case .memory(let numbers): NumberedText(place: .memory(Array(numbers[range])), count: range.count, path: path)
    case .file(let file, let offset):
      NumberedText(
        place: .file(file, offset: offset + range.lowerBound * MemoryLayout<UInt16>.stride), count: range.count, path: path,
        meaning: meaning)
    }
  }

  /// Overwrites the first `count` of `numbers` with those from index `start` on.
  /// - Throws: `DatasetError.failed` if the file has become shorter or can't be read.
  func read(_ count: Int, into numbers: inout [UInt16], at start: Int) throws(DatasetError) {
    switch place {
    case .memory(let all): numbers.replaceSubrange(..<count, with: all[start..<start + count])
    case .file(let file, let offset):
      try file.read(count, into: &numbers, at: offset + start * MemoryLayout<UInt16>.stride)
      for index in 0..<count {
        let number = UInt16(littleEndian: numbers[index])
        numbers[index] = meaning?[Int(number)] ?? number
      }
    }
  }

  /// - Throws: `DatasetError.failed` if a file is not what it was when it was opened.
  func checkIsUnchanged() throws(DatasetError) {
    if case .file(let file, _) = place { try file.checkIsUnchanged() }
  }

  /// Adds the numbers, 2 bytes each.
  /// - Parameter limit: The number that all must be below.
  /// - Throws: `DatasetError.damaged`, naming the first number that is not.
  func add(to digest: inout DigestBuilder, below limit: Int) throws(DatasetError) {
    let most = 1 << 19
    var piece: [UInt16] = []
    for start in stride(from: 0, to: count, by: most) {
      let length = min(most, count - start)
      if piece.count != length { piece = [UInt16](repeating: 0, count: length) }
      try read(length, into: &piece, at: start)
      if let index = piece.firstIndex(where: { $0 >= limit }) {
        throw .damaged(
          path: path, place: .index(start + index), reason: "token \(piece[index]) is outside 0 to \(limit - 1)",
          remedy: "Name a larger vocabulary, `tokens:DIR,vocabulary=N`, or make the file again.")
      }
      digest.add(piece.span.bytes)
    }
    try checkIsUnchanged()
  }
}

/// Windows of `context` characters or tokens of a text, `stride` apart, each with the one after it.
struct TextWindows: Sendable {
  let text: NumberedText
  let context: Int
  let stride: Int

  var count: Int { max(0, (text.count - context - 1) / stride + 1) }

  private func start(of index: Int) -> Int { index * stride }

  /// Does what `Examples.gather` does. For a text in a file it allocates the memory of one window.
  /// - Throws: `DatasetError.failed` if a file is not what it was when it was opened.
  func gather(
    _ indices: [Int], classCount: Int, into inputs: MutableMatrix, targets: inout Targets
  ) throws(DatasetError) {
    switch text.place {
    case .memory(let numbers):
      for row in indices.indices { write(numbers, from: start(of: indices[row]), to: row, of: inputs, &targets) }
    case .file(let file, _):
      var window = [UInt16](repeating: 0, count: context + 1)
      for row in indices.indices {
        try text.read(window.count, into: &window, at: start(of: indices[row]))
        // All were below when the file was opened, and a network relies on it.
        guard window.allSatisfy({ $0 < classCount }) else { throw file.hasChanged("it has another token") }
        write(window, from: 0, to: row, of: inputs, &targets)
      }
      try file.checkIsUnchanged()
    }
  }

  private func write(_ numbers: [UInt16], from start: Int, to row: Int, of inputs: MutableMatrix, _ targets: inout Targets) {
    for position in 0..<context {
      inputs[row: row][position] = Float(numbers[start + position])
      targets.classes[row * context + position] = Int32(numbers[start + position + 1])
    }
  }
}
