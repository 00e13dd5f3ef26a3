extension Dataset {
  /// Reads a text in UTF-8. Training examples are the windows of `context` characters at every position of its first
  /// nine tenths; test examples are adjacent windows of the last tenth, so that every character is predicted once.
  /// Labels are the next characters.
  /// - Parameter context: The number of characters that the model sees at once; nil if the model does not read text.
  static func text(file path: String, context: Int?, room: inout Int) throws(DatasetError) -> Dataset {
    guard let context else {
      throw .impossible("text:\(path) needs a model that reads text, such as `model` gpt:context=64")
    }
    let (text, vocabulary) = try numbered(file: path, room: &room)
    let trainingCount = text.count * 9 / 10
    guard trainingCount > context, text.count - trainingCount > context else {
      throw .impossible(
        """
        \(path) holds \(text.count) characters, too few for windows of \(context) in its last tenth; name a longer \
        text, or a model with a context below \(max(2, text.count / 10))
        """)
    }
    let training = TextWindows(text: text.part(0..<trainingCount), context: context, stride: 1)
    let test = TextWindows(text: text.part(trainingCount..<text.count), context: context, stride: context)
    return try Dataset(
      name: DatasetSpecification.text(file: path).description,
      training: Examples(windows: training, classCount: vocabulary.count),
      test: Examples(windows: test, classCount: vocabulary.count), vocabulary: vocabulary)
  }

  /// The largest size of a text in bytes as stored in the file. For a compressed file, gzip's own limit applies
  /// besides.
  static let longestText = 1 << 30

  /// The characters of a text as numbers in its vocabulary. The whole text itself is never in memory.
  private static func numbered(file path: String, room: inout Int) throws(DatasetError) -> (NumberedText, Vocabulary) {
    var file = try InputFile(path: path)
    guard file.isCompressed || file.capacity <= longestText else {
      throw .impossible(
        "\(path) has \(file.capacity) bytes, but a text may have \(longestText); name a part of it, or make `tokens` of it")
    }
    var characters = Collector<UInt16>(path: path, room: room)
    // Characters are numbered in the order they first occur, and renumbered in their own order once all are known.
    var found: [Unicode.Scalar] = []
    var numbers: [Unicode.Scalar: UInt16] = [:]
    // The first bytes of a character that is divided between two pieces of the file.
    var cut: [UInt8] = []
    while true {
      let piece = try file.read(upTo: 1 << 18)
      var bytes = cut + piece
      cut = piece.isEmpty ? [] : incompleteEnd(of: bytes)
      bytes.removeLast(cut.count)
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw .damaged(path: path, reason: "is not text in UTF-8", remedy: "Convert it, for example with iconv.")
      }
      var numbered: [UInt16] = []
      numbered.reserveCapacity(bytes.count)
      for character in text.unicodeScalars {
        if let number = numbers[character] {
          numbered.append(number)
          continue
        }
        guard found.count < Int(UInt16.max) else {
          throw .damaged(
            path: path, reason: "holds more than \(UInt16.max) distinct characters", remedy: "Name a file of plain text.")
        }
        numbers[character] = UInt16(found.count)
        numbered.append(UInt16(found.count))
        found.append(character)
      }
      try characters.append(numbered)
      if piece.isEmpty { break }
    }
    let vocabulary = Vocabulary(of: found)
    let order = found.map { UInt16(vocabulary.number(of: $0) ?? 0) }
    let count = characters.count
    switch try characters.finish(room: &room) {
    case .memory(var characters):
      for index in characters.indices { characters[index] = order[Int(characters[index])] }
      return (NumberedText(place: .memory(characters), count: count, path: path), vocabulary)
    case .file(let file):
      return (NumberedText(place: .file(file, offset: 0), count: count, path: path, meaning: order), vocabulary)
    }
  }

  /// The bytes at the end that may be the beginning of a character: a lead byte and fewer bytes than it requires.
  private static func incompleteEnd(of bytes: [UInt8]) -> [UInt8] {
    let end = bytes.suffix(3)
    guard let lead = end.lastIndex(where: { $0 & 0b1100_0000 != 0b1000_0000 }) else { return [] }
    let length = bytes[lead] >= 0xF0 ? 4 : bytes[lead] >= 0xE0 ? 3 : bytes[lead] >= 0xC0 ? 2 : 1
    return end.endIndex - lead < length ? Array(end[lead...]) : []
  }
}
