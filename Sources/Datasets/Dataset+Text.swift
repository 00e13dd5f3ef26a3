extension Dataset {
  /// A text in UTF-8: to train on, the windows of `context` characters at every place of its first nine tenths; to test,
  /// windows side by side of the last tenth, so that every character is predicted once. Labels are the characters that
  /// follow.
  /// - Parameter context: the model's; nil where the model takes no text.
  static func text(file path: String, context: Int?) throws(DatasetError) -> Dataset {
    guard let context else {
      throw .impossible("text:\(path) needs a model that reads text, such as --model gpt:context=64")
    }
    var file = try InputFile(path: path)
    let bytes = try file.readAll()
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .damaged(path: path, reason: "is not text in UTF-8", remedy: "Convert it, for example with iconv.")
    }
    let vocabulary = Vocabulary(of: text.unicodeScalars)
    guard vocabulary.count <= Int(UInt16.max) else {
      throw .damaged(
        path: path, reason: "holds \(vocabulary.count) distinct characters, more than \(UInt16.max)",
        remedy: "Name a file of plain text.")
    }
    let characters = text.unicodeScalars.map { UInt16(vocabulary.number(of: $0) ?? 0) }
    let trainingCount = characters.count * 9 / 10
    guard trainingCount > context, characters.count - trainingCount > context else {
      throw .impossible(
        """
        \(path) holds \(characters.count) characters, too few for windows of \(context) in its last tenth; name a longer \
        text, or a model with a context below \(max(2, characters.count / 10))
        """)
    }
    let training = TextWindows(characters: Array(characters[..<trainingCount]), context: context, stride: 1)
    let test = TextWindows(characters: Array(characters[trainingCount...]), context: context, stride: context)
    return try Dataset(
      name: DatasetSpecification.text(file: path).description,
      training: Examples(windows: training, classCount: vocabulary.count),
      test: Examples(windows: test, classCount: vocabulary.count), vocabulary: vocabulary)
  }
}
